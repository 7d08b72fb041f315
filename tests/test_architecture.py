"""Imports point one way, and the front half never needs torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "cspdet"

# What stands further left is never allowed to import what stands further right.
ORDER = [
    "version",
    "paths",
    "cores",
    "text",
    "fonts",
    "errors",
    "missing",
    "pipes",
    "boxes",
    "detections",
    "pipeline",
    "cfg",
    "program",
    "layers",
    "graph",
    "binding",
    "build",
    "rules",
    "describe",
    "plain",
    "about",
    "assist",
    "comparison",
    "scaling",
    "rewrite",
    "files",
    "analysis",
    "diagram",
    "jpeg",
    "image",
    "preprocess",
    "draw",
    "names",
    "weights",
    "shipped",
    "download",
    "models",
    "lowering",
    "formats",
    "network",
    "engines",
    "export",
    "stages",
    "classification",
    "detector",
    "loading",
    "cv2_dnn",
    "sources",
    "outputs",
    "targets",
    "data",
    "evaluate",
    "bench",
    "train",
    "__init__",
    "language_server",
    "commands",
    "cli",
    "__main__",
]

# Modules that only understand text and numbers: importing all of them must not import any of these.
FRONT = [
    "cfg",
    "layers",
    "graph",
    "binding",
    "build",
    "rules",
    "describe",
    "comparison.difference",
    "scaling.compound",
    "analysis.cost",
    "diagram.draw",
    "diagram.svg",
    "models",
    "errors",
    "text",
    "cli",
    "rewrite.editing",
    "rewrite.fixing",
    "rewrite.formatting",
    "rewrite.renaming",
    "commands.check",
    "commands.diff",
    "commands.scale",
    "commands.edit",
    "commands.format",
    "commands.summary",
    "commands.layers",
    "commands.explain",
]
HEAVY = ("torch", "numpy", "cv2", "rich", "safetensors", "platformdirs", "filelock")


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _group(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """What a module imports, in functions too; what only type checkers see does not count."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "cspdet":
            names = [node.module] if node.module != "cspdet" else [f"cspdet.{alias.name}" for alias in node.names]
            yield from ((name, node.lineno) for name in names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.split(".")[0] == "cspdet")


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = ORDER.index(_group(path))
    for name, line in _imports(path):
        parts = name.split(".")
        imported = parts[1] if len(parts) > 1 else "__init__"
        if imported not in ORDER:
            imported = "__init__"  # a public name of the package
        assert ORDER.index(imported) <= own, f"{path.name}:{line} imports {name}"


def test_the_front_half_imports_nothing_heavy() -> None:
    imports = "; ".join(f"import cspdet.{name}" for name in FRONT)
    code = f"import sys; {imports}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []


def test_help_is_quick_to_import() -> None:
    """`cspdet --help` needs nothing but the list of commands."""
    count = "sum(name.startswith('cspdet') for name in sys.modules)"
    code = f"import sys; from cspdet.cli import main; main(['--help']); print({count})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(found.stdout.split()[-1]) <= 4


def test_the_project_speaks_of_itself_alone() -> None:
    """Nothing points to an issue by number or holds an unfinished thought."""
    for path in _modules():
        text = path.read_text("utf-8")
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), path
        assert not re.search(r"(issue|PR|ticket) ?#\d", text, re.IGNORECASE), path
