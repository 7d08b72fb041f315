"""Explain the code of a diagnostic, such as `head-filters`, or of a finding of `cspdet data check`."""

from __future__ import annotations

import inspect
import textwrap
from argparse import ArgumentParser, Namespace

from cspdet.cfg import codes
from cspdet.data import codes as data_codes
from cspdet.errors import UsageError
from cspdet.rules import RULES
from cspdet.text import nearest


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "code", nargs="?", metavar="CODE", help="what stands in brackets behind `error` or `warning`; all if left out"
    )


def run(arguments: Namespace) -> int:
    """Print the explanation."""
    rules = {rule.__name__.replace("_", "-"): inspect.cleandoc(rule.__doc__ or "") for rule in RULES}
    texts = codes.EXPLANATIONS | rules | data_codes.EXPLANATIONS
    if arguments.code is None:
        print("\n".join(sorted(texts)))
        return 0
    # Also as it is printed: `error[head-filters]`.
    code = arguments.code.rpartition("[")[2].rstrip("]:")
    if code not in texts:
        near = nearest(code, texts)
        raise UsageError(f"there is no code `{code}`", f"did you mean `{near}`?" if near else "`cspdet explain` lists all")
    paragraphs = (textwrap.fill(each.replace("\n", " "), 100, break_on_hyphens=False) for each in texts[code].split("\n\n"))
    print(f"{code}\n\n" + "\n\n".join(paragraphs))
    return 0
