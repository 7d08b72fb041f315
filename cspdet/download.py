"""Official weights: downloaded on first use into a cache, resumed when cut, never used when they are another file."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from cspdet.errors import DownloadError, UsageError
from cspdet.files import unwritable
from cspdet.paths import is_file
from cspdet.shipped import Official, folder
from cspdet.text import printable

_CHUNK = 2**18
_TIMEOUT = 30.0
# How often a cut transfer is taken up again within one call.
_ATTEMPTS = 4

Advance = Callable[[int], None]


def cache() -> Path:
    """The folder that official weights are kept in: `CSPDET_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("CSPDET_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("cspdet") / "weights"


def fetch(official: Official, into: Path | None = None) -> Path:
    """The path of the file, downloaded if it is not there yet.

    `CSPDET_MIRROR` may name an address under which all files are found; it is tried before the authors' own.

    Raises:
        DownloadError: it cannot be fetched, or what arrives is another file.
        UsageError: the cache cannot be written, or the mirror is no web address.
    """
    target = (into or cache()) / official.file
    for place in (folder("weights") / official.file, target):
        if _is(place, official):
            return place
    urls = (*_mirror(official), *official.urls)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock, Timeout

        lock = FileLock(target.with_name(f"{target.name}.lock"))
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            print(f"waiting for another process, which downloads `{official.file}`", file=sys.stderr)
            lock.acquire()
        try:
            if not _is(target, official):
                _download(official, urls, target)
        finally:
            lock.release()
    except OSError as error:
        raise unwritable(target, error) from None
    return target


def open_url(url: str, headers: dict[str, str] | None = None) -> Any:
    """The response of a web server; redirections elsewhere than to http and https are refused.

    Raises:
        OSError: it cannot be reached, or answers with an error.
        ValueError: the address is none.
    """
    opener = OpenerDirector()
    handlers = (ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler)
    for handler in (*handlers, HTTPDefaultErrorHandler, HTTPRedirectHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("it is no web address")
    # What is not ASCII, or a blank, is sent escaped; what is escaped already stays as it is.
    request = Request(quote(url, safe="%/:=&?~#+!$,;'@()*[]"), headers={"User-Agent": "cspdet"} | (headers or {}))  # noqa: S310
    try:
        return opener.open(request, timeout=_TIMEOUT)
    except HTTPError as error:
        error.close()
        raise


def reason_of(error: Exception) -> str:
    """Why a transfer failed, in a few words."""
    if isinstance(error, HTTPError):
        return printable(f"HTTP {error.code} {' '.join(str(error.reason or '').split()).lower()[:100]}").strip()
    if isinstance(error, InvalidURL):
        return "the address is malformed"  # it may hold a password, and the exception repeats it
    inner = getattr(error, "reason", None) or error
    words = str(getattr(inner, "strerror", None) or inner).split()
    return printable(" ".join(words).lower()[:200]) or type(inner).__name__


def _mirror(official: Official) -> tuple[str, ...]:
    mirror = os.environ.get("CSPDET_MIRROR", "")
    if not mirror:
        return ()
    try:
        parts = urlsplit(mirror)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError("`CSPDET_MIRROR` is no web address", "for example `http://mirror.example/weights`")
    if "@" in parts.netloc:
        raise UsageError("`CSPDET_MIRROR` holds a name or password, which cspdet does not send", "use a mirror without one")
    return (f"{mirror.rstrip('/')}/{official.file}",)


def _is(path: Path, official: Official) -> bool:
    """Whether a file is there and has the size and digest.

    Hashing 250 MB takes a moment, so the answer is noted beside the file. A file that cannot be read is none for us.
    """
    try:
        about = path.stat()
    except OSError:
        return False
    if not is_file(path) or about.st_size != official.bytes:
        return False
    note = path.with_name(f"{path.name}.verified")
    line = f"{official.sha256} {about.st_size} {about.st_mtime_ns}"
    try:
        if note.read_text("utf-8") == line:
            return True
    except (OSError, ValueError):
        pass
    try:
        if _digest(path) != official.sha256:
            return False
    except OSError:
        return False
    with suppress(OSError):  # a folder that cannot be written only costs the hashing again
        note.write_text(line, "utf-8")
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(official: Official, urls: tuple[str, ...], target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    failures: list[str] = []
    with _progress(official) as advance:
        for url in urls:
            # What is there already may come from elsewhere and be spoilt: then this address gets a second chance, from zero.
            for _ in range(2):
                found = is_file(part)
                failure = _complete(url, official, part, advance)
                if failure is None and _digest(part) == official.sha256:
                    part.replace(target)
                    return
                if failure is None:
                    part.unlink()
                    advance(0)
                    failure = "it sent another file; its digest does not match"
                    if found:
                        continue
                break
            failures.append(f"{_host(url)}: {failure}")
    reasons = "; ".join(dict.fromkeys(failures)) or "no address is known"
    where = official.urls[0] if official.urls else "it"
    cure = f"run it again to go on, or fetch {where} yourself and put it at {target}"
    raise DownloadError(f"cannot download `{official.file}`: {reasons}", cure)


def _host(url: str) -> str:
    """The server of an address, without the name and password that may stand before it."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url


def _complete(url: str, official: Official, part: Path, advance: Advance) -> str | None:
    """Bring `part` to its full size from one address; the reason where that fails, None where it does not."""
    failure = None
    for _ in range(_ATTEMPTS):
        before = part.stat().st_size if is_file(part) else 0
        if before > official.bytes:
            part.unlink()
            before = 0
        if before == official.bytes:
            return None
        try:
            response = open_url(url, {"Accept-Encoding": "identity"} | ({"Range": f"bytes={before}-"} if before else {}))
        except HTTPError as error:
            if error.code != 416 or not before:
                return reason_of(error)
            # The server has fewer bytes than are here already, so what is here is not its file.
            part.unlink(missing_ok=True)
            continue
        except (OSError, HTTPException, ValueError) as error:
            return failure or reason_of(error)
        with response:
            if (refused := _refused(response, official, before)) is not None:
                return refused
            failure = _append(response, official, part, before, advance)
        after = part.stat().st_size if is_file(part) else 0
        if after == official.bytes:
            return None
        if after <= before:
            break  # no progress: another attempt would fail alike
    return failure or "it sent nothing"


def _resumed(response: Any, before: int) -> bool:
    return bool(response.status == 206) and response.headers.get("Content-Range", "").startswith(f"bytes {before}-")


def _refused(response: Any, official: Official, before: int) -> str | None:
    """Why what the server announces cannot be the file."""
    if "text/html" in response.headers.get("Content-Type", ""):
        return "it sent a web page"
    announced = response.headers.get("Content-Length", "")
    if len(announced) > 15:
        return "it announces an impossible length"
    total = int(announced) + (before if _resumed(response, before) else 0) if announced.isdecimal() else official.bytes
    return f"it has {total:,} bytes, not {official.bytes:,}" if total != official.bytes else None


def _append(response: Any, official: Official, part: Path, before: int, advance: Advance) -> str:
    """Take what the server sends, behind what is there or, where it does not resume, from the start; says how far it came."""
    resumed = _resumed(response, before)
    there = before if resumed else 0
    advance(there)
    failure = ""
    with part.open("ab" if resumed else "wb") as file:
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, HTTPException) as error:
                failure = f" ({reason_of(error)})"
                break
            if not chunk:
                break
            there += len(chunk)
            if there > official.bytes:
                file.truncate(0)
                return f"it has more than {official.bytes:,} bytes"
            file.write(chunk)
            advance(there)
    return f"the transfer was cut at {there:,} of {official.bytes:,} bytes{failure}"


@contextmanager
def _progress(official: Official) -> Iterator[Advance]:
    """A progress bar on the terminal's error stream; calls set how many bytes are there."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(official.file, total=official.bytes)
        yield lambda there: bar.update(task, completed=there)
