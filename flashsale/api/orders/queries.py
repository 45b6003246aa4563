"""What readers of orders ask for, in the query of the address: checked before anything else happens."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web

from flashsale.api.problems import invalid
from flashsale.model.cursor import Cursor, CursorError
from flashsale.model.events import event_type
from flashsale.model.facts import FactType
from flashsale.model.faults import Fault

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
MAX_WAIT_S: Final = 60
NOW: Final = "now"
"""The cursor of somebody who wants only what comes from now on."""
MAX_SEQ: Final = 10**15 - 1
"""Facts are told with fifteen digits."""
TYPES: Final = {
    "confirmed": event_type(FactType.CONFIRMED).encode(),
    "refunded": event_type(FactType.REFUNDED).encode(),
}
"""What `types` may name -> the type of the events."""
LAST_EVENT_ID: Final = "Last-Event-ID"

T = TypeVar("T")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class OrdersQuery:
    """Which orders somebody wants, and how long they wait for them."""

    after: Cursor | None
    """None stands for now."""
    limit: int | None
    wait_s: int | None
    sale: str | None
    types: frozenset[bytes] | None
    """None for all."""
    rehearsal: bool
    """Those of a rehearsal, which has to be named: no other way leads to them."""


@dataclass(frozen=True, slots=True)
class FactsQuery:
    """Which facts of a sale somebody wants."""

    after: int
    limit: int
    wait_s: int


class _Reading:
    """The parameters of one request, and what is wrong with them."""

    def __init__(self, request: web.Request, known: frozenset[str]) -> None:
        self._query = request.query
        self.faults = [
            Fault((name[:100],), f"is not a known parameter; there are {', '.join(sorted(known))}")
            for name in dict.fromkeys(request.query)
            if name not in known
        ]

    def read(self, name: str, make: Callable[[str], T], default: T) -> T:
        """The value of a parameter; `default` where there is none, or it cannot be."""
        given = self._query.getall(name, [])
        if len(given) > 1:
            self.faults.append(Fault((name,), "may be given once"))
            return default
        try:
            return make(given[0]) if given else default
        except ValueError as error:
            self.faults.append(Fault((name,), str(error)))
            return default

    def check(self) -> None:
        """Raises `Problem`, 422 with every fault, if there is any."""
        if self.faults:
            raise invalid(self.faults)


def orders(request: web.Request, *, limit: int | None, wait_s: int | None) -> OrdersQuery:
    """What is asked of the feed; `limit` and `wait_s` are what is meant by a request that does not say.

    Raises:
        Problem: 422 with every fault.
    """
    reading = _Reading(request, frozenset({"after", "limit", "wait", "sale", "types", "rehearsal"}))
    beginning: Cursor | None = Cursor()
    query = OrdersQuery(
        after=reading.read("after", _cursor, beginning),
        limit=reading.read("limit", _whole(1, MAX_LIMIT), limit),
        wait_s=reading.read("wait", _whole(0, MAX_WAIT_S), wait_s),
        sale=reading.read("sale", _named, None),
        types=reading.read("types", _types, None),
        rehearsal=reading.read("rehearsal", _truth, False),
    )
    if query.rehearsal and "sale" not in request.query:
        reading.faults.append(Fault(("sale",), "must name the rehearsal whose orders are wanted"))
    reading.check()
    return query


def resumed(request: web.Request) -> Cursor | None:
    """Where a stream of events goes on that has ended: the cursor in `Last-Event-ID`, None when there is none.

    Raises:
        Problem: 422.
    """
    said = request.headers.get(LAST_EVENT_ID)
    if not said:
        return None
    try:
        return Cursor.decode(said)
    except CursorError as error:
        raise invalid([Fault((LAST_EVENT_ID,), _bad_cursor(error))]) from None


def facts(request: web.Request) -> FactsQuery:
    """What is asked of the events of a sale.

    Raises:
        Problem: 422 with every fault.
    """
    reading = _Reading(request, frozenset({"after", "limit", "wait"}))
    query = FactsQuery(
        after=reading.read("after", _whole(0, MAX_SEQ), 0),
        limit=reading.read("limit", _whole(1, MAX_LIMIT), DEFAULT_LIMIT),
        wait_s=reading.read("wait", _whole(0, MAX_WAIT_S), 0),
    )
    reading.check()
    return query


def nothing(parameters: Mapping[str, str]) -> None:
    """Sees that an address has no query.

    Raises:
        Problem: 422 with every fault.
    """
    if parameters:
        raise invalid(
            [Fault((name[:100],), "is not a known parameter") for name in dict.fromkeys(parameters)]
        )


def _cursor(text: str) -> Cursor | None:
    if text == NOW:
        return None
    try:
        return Cursor.decode(text) if text else Cursor()
    except CursorError as error:
        raise ValueError(_bad_cursor(error)) from None


def _bad_cursor(error: CursorError) -> str:
    return (
        f"{error}: give a cursor that this server has answered, whole, or none to begin with the first order"
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def make(text: str) -> int:
        if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return make


def _named(text: str) -> str:
    if not text:
        raise ValueError("must be the id of a sale; leave it out for all sales")
    return text


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _types(text: str) -> frozenset[bytes]:
    named = text.split(",")
    if not set(named) <= TYPES.keys():
        raise ValueError(f"must be one or more of {', '.join(TYPES)}, with commas between them")
    return frozenset(TYPES[name] for name in named)
