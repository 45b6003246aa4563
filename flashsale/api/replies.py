"""Answers as plain bytes, whichever way they go out: through aiohttp, or by the fast lane."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import web

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"


class Reply(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = {}

    def response(self) -> web.Response:
        """The answer for aiohttp to send."""
        return web.Response(
            body=self.body, status=self.status, content_type=self.content_type, headers=self.headers
        )
