"""A server of model archives on this machine, with a catalog: for tests."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import time
from pathlib import Path

CHUNK = 8192


class ModelServer:
    """Serves one archive as /NAME.zip; /slow/NAME.zip takes its time, /cut/NAME.zip ends early,
    /away/NAME.zip sends to an address that is not allowed. `num_requests` counts what was asked.
    """

    def __init__(self, archive: Path, slow_seconds: float = 0.2) -> None:
        self.archive, self.slow_seconds = archive, slow_seconds
        self.content = archive.read_bytes()
        self.num_requests = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, way: str = "") -> str:
        """The archive's address; way: "", "slow/", "cut/" or "away/"."""
        return f"http://127.0.0.1:{self._server.server_port}/{way}{self.archive.name}"

    def entry(self, way: str = "", **changes: object) -> dict[str, object]:
        """The archive as a catalog names it."""
        return {
            "name": self.archive.stem,
            "description": "Random weights, for tests.",
            "licence": "MIT",
            "training_data": "none",
            "not_for": "anything but tests",
            "url": self.url(way),
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "size_bytes": len(self.content),
        } | changes

    def write_catalog(self, path: Path, *entries: dict[str, object]) -> Path:
        """A catalog file with these entries."""
        content = {"format": "anatomaskgan-model-catalog", "version": 1, "models": entries}
        path.write_text(json.dumps(content))
        return path

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.num_requests += 1
                way = self.path.split("/")[1]
                if way == "away":
                    self.send_response(302)
                    self.send_header("Location", "ftp://127.0.0.1/model.zip")
                    self.end_headers()
                    return
                if way not in ("slow", "cut", outer.archive.name):
                    self.send_error(404)
                    return
                self.send_response(200)
                self.end_headers()
                content = outer.content[: 3 * CHUNK] if way == "cut" else outer.content
                with contextlib.suppress(ConnectionError):  # a download that was cancelled
                    for first in range(0, len(content), CHUNK):
                        self.wfile.write(content[first : first + CHUNK])
                        time.sleep(outer.slow_seconds * (way == "slow"))

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
