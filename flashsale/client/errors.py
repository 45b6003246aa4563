"""What a call or a feed can end with, instead of an answer; each reads as one sentence for people."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


class UnreachableError(Exception):
    """Nobody answered at the address, or what answered does not speak this API."""


class ApiError(Exception):
    """The server refused: a problem document (RFC 9457).

    `status`, `code`, `title` and `detail` are the members of the problem, `errors` its list of wrong fields,
    each with `pointer`, `field` and `detail`, and `body` all of it. `retry_after_seconds` is how long the server
    wants to be left alone before the next try; None when it does not say.
    """

    def __init__(
        self, status: int, body: Mapping[str, Any], *, retry_after_seconds: float | None = None
    ) -> None:
        self.status = status
        self.retry_after_seconds = retry_after_seconds
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


class OrderFeedError(Exception):
    """The feed cannot go on: trying again would not help before somebody has looked at it."""


class GapError(OrderFeedError):
    """An order is missing in what the shop has given: `expected` is its number in `sale`, `got` the one that came."""

    def __init__(self, sale: str, expected: int, got: int) -> None:
        self.sale = sale
        self.expected = expected
        self.got = got
        super().__init__(
            f"orders of the sale {sale} are missing: after number {expected - 1} came number {got}, not {expected}. "
            "Everything before was given, and the position stands there: begin again and the feed asks for the missing "
            f"ones. If they do not come, compare GET /v1/sales/{sale}/orders/summary and `flashsale audit {sale}` "
            "with your own books before you go on"
        )


class UnreadableOrderError(OrderFeedError):
    """The event `event_id` is one that this client cannot read, so it cannot be given and must not be passed by."""

    def __init__(self, event_id: str, why: str) -> None:
        self.event_id = event_id
        super().__init__(f"the event {event_id} cannot be read: {why}")


class CursorStoreError(OrderFeedError):
    """How far the consumer has come cannot be read, or kept."""
