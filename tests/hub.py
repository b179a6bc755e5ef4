"""A stand-in of the Hugging Face Hub: the routes that a download uses, over a folder's files."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 1 << 16


@dataclass
class Hub:
    """What the stand-in offers, how it misbehaves, and what it was asked."""

    models: dict[str, Path]
    "Hub id -> folder."
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    "Hub id -> (status, error code of the Hub)."
    break_after: int = 0
    "Bytes of each large answer before the connection is cut; 0 = never."
    ends_early: str = ""
    "Files with this in their name have 10 bytes less than the Hub says; none where it is empty."
    block_pause_s: float = 0.0
    "Seconds between two blocks of a large answer."
    on_block: Callable[[str, int], object] = lambda path, sent: None
    "Called after each block with the path that was asked for and the bytes sent so far."
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    "(method, path, Range) of every request."
    instead: Callable[[str, str], tuple[int, bytes] | None] = lambda path, wanted: None
    "(path, Range) of a file that is sent for -> status and content to answer with; None: the file."
    address: str = ""

    def ranges(self, name: str) -> list[str]:
        """Return the Range headers with which a file was asked for."""
        return [wanted for verb, path, wanted in self.asked if verb == "GET" and name in path]


class Handler(BaseHTTPRequestHandler):
    """Answers as the Hub does, as far as huggingface_hub looks."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        """Write nothing."""

    def do_HEAD(self) -> None:  # noqa: N802
        self.answer(body=False)

    def do_GET(self) -> None:  # noqa: N802
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.hub.asked.append((self.command, path, self.headers.get("Range") or ""))
        parts = path.removeprefix("api/models/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        status, code = self.hub.refusals.get(name, (0, ""))
        if name not in self.hub.models and path:
            status, code = 401, "RepoNotFound"
        elif len(rest) > 1 and rest[1] not in ("main", COMMIT):
            status, code = 404, "RevisionNotFound"
        if status:
            return self.send(status, b"{}", body, {"X-Error-Code": code, "X-Error-Message": code})
        if path.startswith("api/models/"):
            kind = rest[0] if rest else "revision"
            data = self.listing(name, kind)
            return self.send(200, data, body, {"Content-Type": "application/json"})
        if len(rest) > 2:
            return self.send_file(self.hub.models[name] / "/".join(rest[2:]), body)
        return self.send(200, b"ok", body, {})

    def listing(self, name: str, kind: str) -> bytes:
        files = sorted(one for one in self.hub.models[name].iterdir() if one.is_file())
        if kind == "tree":
            rows = [{"type": "file", "path": one.name, "size": one.stat().st_size,
                     "oid": etag(one)} for one in files]  # fmt: skip
            return json.dumps(rows).encode()
        siblings = [{"rfilename": one.name} for one in files]
        return json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()

    def send_file(self, file: Path, body: bool) -> None:
        if not file.is_file():
            return self.send(404, b"", body, {"X-Error-Code": "EntryNotFound"})
        data, total = file.read_bytes(), file.stat().st_size
        more = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range", "")
        if body and self.hub.ends_early and self.hub.ends_early in file.name:
            return self.send(200, data[:-10], body, more)
        if body and (other := self.hub.instead(self.path, wanted)):
            return self.send(*other, body, {})
        if body and wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            more["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
            return self.send(206, data[start:], body, more)
        return self.send(200, data, body, more)

    def send(self, status: int, data: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if not body:
            return
        sent = 0
        for start in range(0, len(data), BLOCK):
            block = data[start : start + BLOCK]
            if self.hub.break_after and sent + len(block) > self.hub.break_after:
                self.close_connection = True
                return
            try:
                self.wfile.write(block)
            except OSError:  # whoever asked has gone
                self.close_connection = True
                return
            sent += len(block)
            self.hub.on_block(self.path, sent)
            if self.hub.block_pause_s and len(data) > BLOCK:
                threading.Event().wait(self.hub.block_pause_s)


def etag(file: Path) -> str:
    """Return a file's content hash, as git names it or near enough."""
    return hashlib.sha1(file.read_bytes()).hexdigest()  # noqa: S324


@contextmanager
def served_hub(models: dict[str, Path]) -> Iterator[Hub]:
    """Serve folders as models of a Hub until the block ends."""
    hub = Hub(models)
    handler = type("Bound", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
