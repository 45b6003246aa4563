"""A host of static files as a CDN is one: it knows the folder, the rewrite of /s/* and the headers, and nothing of a shop.

with StaticHost(folder) as host:
    await device.open(f"{host.url}/s/giulia-milano")
"""

import fnmatch
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: "StaticHost"

    def translate_path(self, path: str) -> str:
        return super().translate_path("/shop.html" if path.startswith("/s/") else path)

    def end_headers(self) -> None:
        for pattern, headers in self.host.rules:
            if fnmatch.fnmatchcase(self.path.partition("?")[0], pattern):
                for name, value in headers:
                    self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is that of the class above
        self.host.asked.append(self.path)


class StaticHost:
    """Serves a folder that `flashsale pages export` has written, by its file _headers."""

    def __init__(self, folder: Path) -> None:
        self.rules = rules_of((folder / "_headers").read_text(encoding="utf-8"))
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"host": self})
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *arguments: handler(*arguments, directory=str(folder))
        )
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def rules_of(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The headers of each pattern of paths."""
    rules: list[tuple[str, list[tuple[str, str]]]] = []
    for line in text.splitlines():
        if line.startswith("  "):
            name, _, value = line.strip().partition(": ")
            rules[-1][1].append((name, value))
        elif line:
            rules.append((line, []))
    return rules
