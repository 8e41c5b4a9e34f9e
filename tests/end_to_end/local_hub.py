"""A hub on this machine: enough of the real one's protocol for its client to fetch a model's files."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c" * 40


class LocalHub(ThreadingHTTPServer):
    """Serves one model.

    Args:
        hub_id: OWNER/NAME.
        files: their contents by name.
        gated: refuse the files, as the hub does before the licence is accepted.
        cut_after: bytes after which the first transfer of each file breaks off.
    """

    daemon_threads = True

    def __init__(
        self, hub_id: str, files: dict[str, bytes], gated: bool = False, cut_after: int | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub_id, self.files, self.gated, self.cut_after = hub_id, files, gated, cut_after
        self.begun: list[tuple[str, int]] = []  # (file, first byte) of every transfer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        api, files = f"/api/models/{hub.hub_id}", f"/{hub.hub_id}/resolve/{COMMIT}/"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": name, "lfs": _lfs(content)} for name, content in hub.files.items()]
            self._answer(200, {"id": hub.hub_id, "sha": COMMIT, "siblings": siblings})
        elif path == f"{api}/tree/{COMMIT}":
            self._answer(
                200,
                [{"type": "file", "path": n, "size": len(b), "oid": COMMIT} for n, b in hub.files.items()],
            )
        elif path.startswith(files) and hub.gated:
            self._answer(403, {"error": "restricted"}, {"X-Error-Code": "GatedRepo"})
        elif path.startswith(files) and path.removeprefix(files) in hub.files:
            self._send_file(path.removeprefix(files))
        else:
            self._answer(404, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"})

    def _answer(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _send_file(self, name: str) -> None:
        content = self.server.files[name]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        seen = any(file == name for file, _ in self.server.begun)
        self.server.begun.append((name, start))
        cut = self.server.cut_after
        if cut is not None and not seen and len(content) > cut:
            self.wfile.write(content[:cut])
            self.close_connection = True
            return
        self.wfile.write(content[start:])

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def _lfs(content: bytes) -> dict[str, object]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}


@contextmanager
def local_hub(hub_id: str, files: dict[str, bytes], **options: object) -> Iterator[LocalHub]:
    with LocalHub(hub_id, files, **options) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
