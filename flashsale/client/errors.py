"""What a call can end with, instead of an answer; each reads as one sentence for people."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


class UnreachableError(Exception):
    """Nobody answered at the address, or what answered does not speak this API."""


class ApiError(Exception):
    """The server refused: a problem document (RFC 9457).

    `status`, `code`, `title` and `detail` are the members of the problem, `errors` its list of wrong fields,
    each with `pointer`, `field` and `detail`, and `body` all of it.
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.body = body
        self.code = str(body.get("code", ""))
        self.title = str(body.get("title", ""))
        self.detail = str(body.get("detail", ""))
        errors = body.get("errors")
        self.errors: list[Json] = errors if isinstance(errors, list) else []
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        """Title, detail and every named field on one line; the detail is left out where the fields say it."""
        parts = (self.title, "" if self.errors else self.detail)
        said = [part.rstrip(".:") for part in parts if part]
        text = ": ".join(said) or f"the server answered {self.status}"
        fields = [f"{error.get('field') or 'body'}: {error.get('detail', '')}" for error in self.errors]
        return f"{text} ({self.code or self.status})" + "".join(f"; {field}" for field in fields)
