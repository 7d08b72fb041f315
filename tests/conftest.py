"""Shared fixtures, and the reference material that many tests run on.

The material is a folder of public cfgs, what Darknet computes for them, real weights and photographs. It stands in
`../shared`, or where `CSPDET_REFERENCE` says. Without it, the tests that need it are skipped and say so; with
`CSPDET_REQUIRE_REFERENCE=1` the run stops instead.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

# In the background of a shell without job control, Ctrl-C is ignored; tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Where pytest-xdist has a process for each core, none needs more than one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
REFERENCE = Path(os.environ.get("CSPDET_REFERENCE", ROOT.parent / "shared")).resolve()
HAS_REFERENCE = (REFERENCE / "golden").is_dir()
SHIPPED = sorted((ROOT / "cfg").rglob("*.cfg"))


def _whole(path: Path) -> str:
    """The text of a cfg and of the files that it includes."""
    text = path.read_text("utf-8")
    included = re.findall(r"^\[include\]\n+file *= *(.+)$", text, re.M)
    return "".join([text, *(_whole(path.parent / name) for name in included)])


# Of these, the networks that find objects.
DETECTORS = [path for path in SHIPPED if "[yolo]" in _whole(path)]
# And the forms that AlexeyAB's Darknet stops at, and pjreddie's runs.
PJREDDIES = ("resnet50-darknet", "resnext50-darknet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the goldens of all networks, not only of those that are quick")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reference: needs the reference material")
    if os.environ.get("CSPDET_REQUIRE_REFERENCE") == "1" and not HAS_REFERENCE:
        raise pytest.UsageError(f"CSPDET_REQUIRE_REFERENCE=1, but there is no reference material at {REFERENCE}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if HAS_REFERENCE:
        return
    skip = pytest.mark.skip(reason=f"needs the reference material, which is not at {REFERENCE}; set CSPDET_REFERENCE")
    for item in items:
        if item.get_closest_marker("reference"):
            item.add_marker(skip)


def reference_files(pattern: str) -> list[Path]:
    """Files of the reference material, for parametrisation; where it is missing, one name stands for all of them."""
    return sorted(REFERENCE.glob(pattern)) if HAS_REFERENCE else [REFERENCE / pattern]


@pytest.fixture(scope="session")
def reference() -> Path:
    return REFERENCE


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, standard output, standard error."""
    from cspdet.cli import main

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a text file into the test's folder."""

    def call(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return call


@pytest.fixture
def small_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Within it, no file can become larger than so many bytes: what a disk does that fills up in the middle of writing."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def call(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return call
