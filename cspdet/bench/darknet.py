"""A `darknet` binary as a peer: `python darknet.py BINARY CFG WEIGHTS WIDTH HEIGHT`.

It is started once and given the same picture again and again; the times are those that it prints of its forward pass
(`Predicted in … milli-seconds`), which leave out reading the picture, as those of all others do.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

started = time.perf_counter()
_TIME = re.compile(rb"Predicted in ([0-9.]+) (milli-)?seconds")


def main() -> None:
    """Load, and answer."""
    sys.path.insert(0, str(Path(__file__).parent))
    from protocol import serve_times  # type: ignore[import-not-found]

    binary, cfg, weights, width, height = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = folder / "picture.ppm"
        pixels = bytes(place * 7 % 256 for place in range(3 * int(width) * int(height)))
        picture.write_bytes(f"P6 {width} {height} 255\n".encode() + pixels)
        classes = max([1, *map(int, re.findall(r"(?m)^\s*classes\s*=\s*(\d+)", Path(cfg).read_text("latin-1")))])
        (folder / "x.names").write_text("".join(f"{number}\n" for number in range(classes)))
        (folder / "x.data").write_text(f"classes={classes}\nnames={folder / 'x.names'}\n")
        words = [binary, "detector", "test", str(folder / "x.data"), cfg, weights, "-dont_show"]
        process = subprocess.Popen(  # noqa: S603 - it is what the PATH has
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, bufsize=0
        )
        assert process.stdin
        assert process.stdout

        def run() -> float:
            process.stdin.write(f"{picture}\n".encode())  # type: ignore[union-attr]
            seen = b""
            while not (found := _TIME.search(seen)):
                more = process.stdout.read(4096)  # type: ignore[union-attr]
                if not more:
                    raise SystemExit(f"{binary} ended: {seen[-300:].decode('utf-8', 'replace')}")
                seen += more
            return float(found[1]) / (1000 if found[2] else 1)

        try:
            serve_times(run, started, time.perf_counter(), process.pid)
        finally:
            process.kill()


if __name__ == "__main__":
    main()
