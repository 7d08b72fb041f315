"""Document the sections of a cfg and their options, from the declarations that cspdet itself runs on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from cspdet.describe import all_layers, one_layer
from cspdet.errors import UsageError
from cspdet.layers import BY_NAME
from cspdet.text import nearest


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a section, with or without brackets; all if left out")


def run(arguments: Namespace) -> int:
    """Print the documentation."""
    if arguments.name is None:
        print(all_layers())
        return 0
    name = arguments.name.strip("[] ")
    if name not in BY_NAME:
        near = nearest(name, BY_NAME)
        raise UsageError(f"there is no section `[{name}]`", f"did you mean `{near}`?" if near else "`cspdet layers` lists all")
    print(one_layer(BY_NAME[name]))
    return 0
