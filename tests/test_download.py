"""Downloads, from a server on the loopback that can misbehave."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPResponse, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler
from ssl import SSLError
from typing import Any

import numpy as np
import pytest

from cspdet import download
from cspdet.download import cache, fetch
from cspdet.errors import DownloadError, UsageError
from cspdet.shipped import Official

# Several chunks long, so that a transfer can be cut between and within them.
CONTENT = np.random.Generator(np.random.PCG64(7)).bytes(700_001)
OTHER = CONTENT[::-1]
NAME = "made.weights"


@dataclass
class Page:
    """What the server answers at one path."""

    content: bytes = CONTENT
    status: int = 200
    kind: str = "application/octet-stream"
    # Bytes to send before the connection is closed, request by request; the last holds for all that follow.
    cuts: list[int | None] = field(default_factory=lambda: [None])
    # The length to announce, if it is not the true one; -1 announces none.
    announced: int | None = None
    ranges: bool = True
    # The place a partial answer claims to start at, if it is not the one asked for.
    claimed: int | None = None
    # Requests from this number on are answered with that status.
    ends_after: int | None = None
    ends_with: int = 503
    location: str = ""
    delay: float = 0.0


class Site:
    """The pages of a server, and what was asked of it: (path, Range header) of each request."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()

    def put(self, path: str, **about: Any) -> str:
        """Publish a page; gives its address."""
        self.pages[path] = Page(**about)
        return f"{self.address}{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        wanted = self.headers.get("Range")
        with site.lock:
            site.asked.append((self.path, wanted))
            page = site.pages.get(self.path, Page(b"", 404))
            number = sum(path == self.path for path, _ in site.asked)
            cut = page.cuts.pop(0) if len(page.cuts) > 1 else page.cuts[0]
        time.sleep(page.delay)
        status, content, start = page.status, page.content, 0
        if page.ends_after is not None and number > page.ends_after:
            status, content = page.ends_with, b""
        if status == 200 and wanted and page.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            status, content = (206, content[start:]) if start < len(content) else (416, b"")
        self.send_response(status)
        self.send_header("Content-Type", page.kind)
        if status == 206:
            first = start if page.claimed is None else page.claimed
            self.send_header("Content-Range", f"bytes {first}-{len(page.content) - 1}/{len(page.content)}")
        if page.location:
            self.send_header("Location", page.location)
        if page.announced != -1:
            self.send_header("Content-Length", str(len(content) if page.announced is None else page.announced))
        self.end_headers()
        self.wfile.write(content[:cut])

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of what is tested."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A running server; the cache is in the test's folder, and nothing in the environment leads elsewhere."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "CSPDET_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CSPDET_CACHE", str(tmp_path / "cache"))
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = Site(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server.site  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def official(*urls: str, content: bytes = CONTENT) -> Official:
    """A made file, as a catalogue would describe it."""
    return Official(NAME, len(content), hashlib.sha256(content).hexdigest(), urls)


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, without locks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"} if folder.is_dir() else {}


def host(site: Site) -> str:
    return site.address.removeprefix("http://")


def closed_address() -> str:
    """An address of this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


# -- what goes well ---------------------------------------------------------------------------------------------------


def test_the_first_call_downloads_and_the_second_asks_nobody(site: Site, tmp_path: Path) -> None:
    wanted = official(site.put("/made.weights"))
    path = fetch(wanted)
    assert path == tmp_path / "cache" / NAME
    assert path.read_bytes() == CONTENT
    assert site.asked == [("/made.weights", None)]
    for _ in range(2):
        assert fetch(wanted) == path
    assert len(site.asked) == 1
    assert set(files(path.parent)) <= {NAME, f"{NAME}.verified"}


def test_a_folder_can_be_named(site: Site, tmp_path: Path) -> None:
    path = fetch(official(site.put("/made.weights")), tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / NAME
    assert path.read_bytes() == CONTENT
    assert not (tmp_path / "cache").exists()


def test_a_redirect_is_followed(site: Site) -> None:
    site.put("/there")
    assert fetch(official(site.put("/here", status=302, location="/there"))).read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == ["/here", "/there"]


def test_a_server_that_announces_no_length(site: Site) -> None:
    assert fetch(official(site.put("/made.weights", announced=-1))).read_bytes() == CONTENT


def test_the_file_can_be_put_into_the_cache_by_hand(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).write_bytes(CONTENT)
    assert fetch(official(f"{closed_address()}/made.weights")).read_bytes() == CONTENT
    assert site.asked == []


def test_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CSPDET_CACHE", str(tmp_path / "elsewhere"))
    assert cache() == tmp_path / "elsewhere"
    monkeypatch.setenv("CSPDET_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "cspdet" in cache().parts
    assert tmp_path in cache().parents
    assert not cache().exists()


# -- transfers that are cut -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 1000, 2**18, 2**18 + 1, len(CONTENT) - 1])
@pytest.mark.parametrize("announced", [None, -1])
def test_a_cut_transfer_is_taken_up_where_it_ended(site: Site, cut: int, announced: int | None) -> None:
    wanted = official(site.put("/made.weights", cuts=[cut, None], announced=announced))
    assert fetch(wanted).read_bytes() == CONTENT
    assert site.asked == [("/made.weights", None), ("/made.weights", f"bytes={cut}-")]


def test_what_came_before_a_failure_is_kept_for_the_next_call(site: Site, tmp_path: Path) -> None:
    wanted = official(site.put("/made.weights", cuts=[300_000, None], ends_after=1))
    with pytest.raises(DownloadError, match="run it again to go on"):
        fetch(wanted)
    kept = files(tmp_path / "cache")
    assert list(kept.values()) == [CONTENT[:300_000]]
    assert NAME not in kept
    site.asked.clear()
    site.put("/made.weights")
    assert fetch(wanted).read_bytes() == CONTENT
    assert site.asked == [("/made.weights", "bytes=300000-")]
    assert set(files(tmp_path / "cache")) <= {NAME, f"{NAME}.verified"}


def test_the_next_address_goes_on_where_the_first_was_cut(site: Site) -> None:
    first = site.put("/first", cuts=[200_000], ends_after=1)
    assert fetch(official(first, site.put("/second"))).read_bytes() == CONTENT
    assert site.asked[-1] == ("/second", "bytes=200000-")


INTERRUPTIONS: list[Exception] = [
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError("timed out"),
    SSLError("[SSL] decryption failed"),
    OSError(5, "Input/output error"),
    IncompleteRead(b""),
]


@pytest.mark.parametrize("error", INTERRUPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("after", [0, 1])
def test_a_connection_that_breaks_is_the_failure_of_one_address(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, after: int
) -> None:
    """What came before is kept: the address is asked for the rest, or, where nothing came, the next one for all."""
    real, calls = HTTPResponse.read, []

    def broken(self: HTTPResponse, amount: int | None = None) -> bytes:
        calls.append(amount)
        if len(calls) == after + 1:
            raise error
        return real(self, amount)

    monkeypatch.setattr(HTTPResponse, "read", broken)
    assert fetch(official(site.put("/first"), site.put("/second"))).read_bytes() == CONTENT
    assert site.asked == [("/first", None), ("/first", f"bytes={calls[0]}-") if after else ("/second", None)]


def test_a_connection_that_breaks_always(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(HTTPResponse, "read", broken)
    with pytest.raises(DownloadError, match=r"cut at 0 of 700,001 bytes \(connection reset by peer\)"):
        fetch(official(site.put("/made.weights")))


def test_a_server_that_cannot_resume_starts_anew(site: Site) -> None:
    wanted = official(site.put("/made.weights", cuts=[1000, None], ranges=False))
    assert fetch(wanted).read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_a_server_that_never_gets_further_is_left(site: Site) -> None:
    wanted = official(site.put("/made.weights", cuts=[1000], ranges=False))
    with pytest.raises(DownloadError, match=r"cut at 1,000 of 700,001 bytes"):
        fetch(wanted)
    assert len(site.asked) < 5


def test_a_partial_answer_from_another_place_is_not_appended(site: Site, tmp_path: Path) -> None:
    """A server may claim to resume and send something else."""
    with pytest.raises(DownloadError):
        fetch(official(site.put("/made.weights", cuts=[1000, None], claimed=0)))
    assert NAME not in files(tmp_path / "cache")


@pytest.mark.parametrize("leftover", [CONTENT + b"more", OTHER + b"more"])
def test_a_part_that_is_too_long_is_thrown_away(site: Site, tmp_path: Path, leftover: bytes) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.part").write_bytes(leftover)
    assert fetch(official(site.put("/made.weights"))).read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_request(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.part").write_bytes(CONTENT)
    assert fetch(official(site.put("/made.weights"))).read_bytes() == CONTENT
    assert site.asked == []


@pytest.mark.parametrize("length", [1, 300_000, len(CONTENT)])
def test_a_part_that_is_spoilt_is_fetched_from_zero(site: Site, tmp_path: Path, length: int) -> None:
    """From the same address: it may be the only one that can be reached."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.part").write_bytes(OTHER[:length])
    assert fetch(official(site.put("/made.weights"))).read_bytes() == CONTENT
    resumed = [f"bytes={length}-"] if length < len(CONTENT) else []
    assert site.asked == [("/made.weights", wanted) for wanted in (*resumed, None)]


def test_a_spoilt_part_and_another_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.part").write_bytes(OTHER[:1000])
    with pytest.raises(DownloadError, match="digest does not match"):
        fetch(official(site.put("/made.weights", content=OTHER)))
    assert files(tmp_path / "cache") == {}
    assert len(site.asked) == 2


def test_a_part_beyond_the_end_of_what_the_server_has(site: Site, tmp_path: Path) -> None:
    """The answer is 416; then the file there is asked for from its start, and it is not the one wanted."""
    first = site.put("/first", content=CONTENT[:1000])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.part").write_bytes(CONTENT[:2000])
    with pytest.raises(DownloadError) as caught:
        fetch(official(first))
    assert caught.value.message.endswith(": it has 1,000 bytes, not 700,001")
    assert site.asked == [("/first", "bytes=2000-"), ("/first", None)]
    assert fetch(official(first, site.put("/second"))).read_bytes() == CONTENT


def test_an_interrupted_download_goes_on_in_the_next_call(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = official(site.put("/made.weights"))
    real, calls = HTTPResponse.read, []

    def interrupted(self: HTTPResponse, amount: int | None = None) -> bytes:
        calls.append(amount)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(self, amount)

    with monkeypatch.context() as patch:
        patch.setattr(HTTPResponse, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(wanted)
    assert NAME not in files(cache())
    assert fetch(wanted).read_bytes() == CONTENT
    assert site.asked == [("/made.weights", None), ("/made.weights", f"bytes={calls[0]}-")]


# -- servers that have something else ---------------------------------------------------------------------------------

FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "not found": ({"status": 404, "content": b""}, "HTTP 404 not found"),
    "forbidden": ({"status": 403, "content": b"no"}, "HTTP 403 forbidden"),
    "broken": ({"status": 500, "content": b""}, "HTTP 500 internal server error"),
    "range refused": ({"status": 416, "content": b""}, "HTTP 416"),
    "web page": ({"content": b"<html>log in</html>", "kind": "text/html; charset=utf-8"}, "it sent a web page"),
    "short": ({"content": CONTENT[:-1]}, "it has 700,000 bytes, not 700,001"),
    "long": ({"content": CONTENT + b"x"}, "it has 700,002 bytes, not 700,001"),
    "long, unannounced": ({"content": CONTENT + b"x", "announced": -1}, "it has more than 700,001 bytes"),
    "short, unannounced": ({"content": CONTENT[:-1], "announced": -1, "ranges": False}, "cut at 700,000 of 700,001 bytes"),
    "wrong length announced": ({"announced": 5}, "it has 5 bytes, not 700,001"),
    "empty": ({"content": b""}, "it has 0 bytes, not 700,001"),
    "another file": ({"content": OTHER}, "it sent another file; its digest does not match"),
    "redirect to a file": ({"status": 302, "location": "file:///etc/hostname", "content": b""}, "HTTP 302"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_is_not_the_file_is_never_returned(site: Site, tmp_path: Path, failure: str) -> None:
    about, said = FAILURES[failure]
    wanted = official(site.put("/first", **about))
    with pytest.raises(DownloadError) as caught:
        fetch(wanted)
    message = caught.value.message
    assert message.startswith(f"cannot download `{NAME}`: {host(site)}: ")
    assert said in message
    assert "\n" not in message
    assert wanted.urls[0] in caught.value.help
    assert str(tmp_path / "cache" / NAME) in caught.value.help
    assert not (tmp_path / "cache" / NAME).exists()


@pytest.mark.parametrize("failure", [*FAILURES, "circular"])
def test_the_next_address_is_tried(site: Site, failure: str) -> None:
    about, _ = FAILURES.get(failure, ({"status": 302, "location": "/first", "content": b""}, ""))
    wanted = official(site.put("/first", **about), site.put("/second"))
    assert fetch(wanted).read_bytes() == CONTENT
    assert site.asked[-1][0] == "/second"


def test_a_bad_file_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="digest does not match"):
        fetch(official(site.put("/made.weights", content=OTHER)))
    assert files(tmp_path / "cache") == {}


def test_all_failures_are_named_in_one_message(site: Site, tmp_path: Path) -> None:
    nowhere = closed_address()
    wanted = official(site.put("/first", status=404), site.put("/second", content=OTHER), f"{nowhere}/third")
    with pytest.raises(DownloadError) as caught:
        fetch(wanted)
    message = caught.value.message
    assert f"{host(site)}: HTTP 404 not found" in message
    assert f"{host(site)}: it sent another file" in message
    assert f"{nowhere.removeprefix('http://')}: connection refused" in message
    assert caught.value.exit_code == 1
    assert files(tmp_path / "cache") == {}


def test_equal_failures_are_named_once(site: Site) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(official(f"{site.address}/a", f"{site.address}/b"))
    assert caught.value.message.count("HTTP 404") == 1


@pytest.mark.parametrize("scheme", ["file", "ftp", "data", "javascript"])
@pytest.mark.usefixtures("site")
def test_only_web_addresses_are_opened(tmp_path: Path, scheme: str) -> None:
    original = tmp_path / "original"
    original.write_bytes(CONTENT)
    with pytest.raises(DownloadError, match="is no web address"):
        fetch(official(f"{scheme}://{original}"))
    assert files(tmp_path / "cache") == {}


def test_a_server_that_falls_silent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    wanted = official(site.put("/silent", delay=0.5), site.put("/second"))
    started = time.monotonic()
    assert fetch(wanted).read_bytes() == CONTENT
    assert time.monotonic() - started < 2
    (cache() / NAME).unlink()
    with pytest.raises(DownloadError, match="timed out"):
        fetch(wanted._replace(urls=wanted.urls[:1]))


@pytest.fixture
def speaker() -> Iterator[Callable[[bytes], str]]:
    """Servers that answer everything with the same bytes; gives the address of one."""
    servers = []

    def start(answer: bytes) -> str:
        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(answer)

        server = _Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/first"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


ANSWERS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "remote end closed connection"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "ssh-2.0-openssh_9.6"),
    "no reason": (b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
    "endless status line": (b"HTTP/1.1 200 " + b"x" * 70_000, "got more than 65536 bytes"),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "got more than 100 headers"),
    "endless length": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "it announces an impossible length"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "the transfer was cut at 0 of 700,001 bytes"),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the transfer was cut at 0 of 700,001 bytes"),
    "reason that drives a terminal": (b"HTTP/1.1 503 \x1b[31mred\r\nContent-Length: 0\r\n\r\n", "HTTP 503 \ufffd[31mred"),
    "redirect to ftp": (b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\n\r\n", "unknown url type: ftp"),
    "redirect to no address": (b"HTTP/1.1 302 Found\r\nLocation: http://[x/\r\n\r\n", "invalid ipv6 url"),
    "redirect to nowhere": (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "HTTP 302 found"),
    "redirect to itself": (b"HTTP/1.1 302 Found\r\nLocation: /first\r\n\r\n", "HTTP 302"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_that_make_no_sense(site: Site, speaker: Callable[[bytes], str], name: str) -> None:
    answer, said = ANSWERS[name]
    url = speaker(answer)
    with pytest.raises(DownloadError) as caught:
        fetch(official(url))
    place = url.removeprefix("http://").removesuffix("/first")
    assert caught.value.message.startswith(f"cannot download `{NAME}`: {place}: {said}")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    assert fetch(official(url, site.put("/second"))).read_bytes() == CONTENT
    assert site.asked == [("/second", None)]


# -- mirrors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_mirror_is_asked_first(site: Site, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    site.put(f"/mirror/{NAME}")
    monkeypatch.setenv("CSPDET_MIRROR", f"{site.address}/mirror{ending}")
    assert fetch(official(site.put("/author"))).read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == [f"/mirror/{NAME}"]


def test_the_authors_are_asked_when_the_mirror_has_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSPDET_MIRROR", f"{site.address}/mirror")
    assert fetch(official(site.put("/author"))).read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == [f"/mirror/{NAME}", "/author"]


def test_a_mirror_cannot_pass_off_another_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put(f"/mirror/{NAME}", content=OTHER)
    monkeypatch.setenv("CSPDET_MIRROR", f"{site.address}/mirror")
    with pytest.raises(DownloadError, match="digest does not match"):
        fetch(official())


@pytest.mark.parametrize(
    "mirror", ["ftp://mirror.example", "mirror.example", "/srv/mirror", "http://", "http:///made", "http://[::1", "https:", "x"]
)
def test_a_mirror_that_is_no_address(site: Site, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("CSPDET_MIRROR", mirror)
    with pytest.raises(UsageError) as caught:
        fetch(official(site.put("/author")))
    assert caught.value.message == "`CSPDET_MIRROR` is no web address"
    assert "http://" in caught.value.help
    assert site.asked == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("port", ["", ":8080"])
def test_a_mirror_with_a_password_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("CSPDET_MIRROR", f"http://user:secret@mirror.example{port}/weights")
    with pytest.raises(UsageError, match="holds a name or password") as caught:
        fetch(official())
    assert "secret" not in str(caught.value)


# -- the cache --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"\0" + data[1:]])
def test_a_damaged_file_in_the_cache_is_fetched_again(site: Site, damage: Callable[[bytes], bytes]) -> None:
    wanted = official(site.put("/made.weights"))
    path = fetch(wanted)
    fetch(wanted)
    path.write_bytes(damage(CONTENT))
    # The clock of a file system may be coarse.
    os.utime(path, ns=(1, 1))
    assert fetch(wanted).read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_a_file_that_was_verified_is_hashed_again_only_when_it_was_touched(site: Site) -> None:
    wanted = official(site.put("/made.weights"))
    path = fetch(wanted)
    fetch(wanted)
    about = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert fetch(wanted).read_bytes() == OTHER, "nobody can tell without hashing, which the note spares"
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert fetch(wanted).read_bytes() == CONTENT


@pytest.mark.parametrize("note", [b"", b"\xff\xfe nonsense", b"0 0 0"])
def test_a_note_that_says_something_else_is_not_believed(site: Site, note: bytes) -> None:
    wanted = official(site.put("/made.weights"))
    path = fetch(wanted)
    path.write_bytes(OTHER)
    path.with_name(f"{NAME}.verified").write_bytes(note)
    assert fetch(wanted).read_bytes() == CONTENT


def test_a_note_for_another_digest_is_not_believed(site: Site) -> None:
    """The catalogue may name a new file under the old name and of the same size."""
    path = fetch(official(site.put("/old")))
    fetch(official(f"{site.address}/old"))
    assert fetch(official(site.put("/new", content=OTHER), content=OTHER)) == path
    assert path.read_bytes() == OTHER


@pytest.mark.usefixtures("site")
def test_a_verified_file_is_used_where_nothing_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    # A directory in its place keeps the note from being written, whoever runs the test.
    (folder / f"{NAME}.verified").mkdir()
    assert fetch(official(), folder).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CSPDET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match="cannot write") as caught:
        fetch(official(site.put("/made.weights")))
    assert str(tmp_path / "file" / "cache") in caught.value.message
    assert site.asked == []


def test_a_full_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def full(self: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        if self.suffix == ".part" and mode in ("wb", "ab"):
            raise OSError(28, "No space left on device")
        return real(self, mode, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UsageError, match=r"cannot write .*: no space left on device"):
        fetch(official(site.put("/made.weights")))


def test_two_threads_download_once(site: Site) -> None:
    wanted = official(site.put("/made.weights", delay=0.1))
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda _: fetch(wanted).read_bytes(), range(4))]
    assert found == [CONTENT] * 4
    assert len(site.asked) == 1
