"""Cooked books: whatever the server says of itself agrees with the lie, and only what shoppers were told gives it away.

The journal is read from the server, changed, and numbered anew; counters, sums, the audit and the feed follow from it.
"""

from collections.abc import Callable
from typing import Any, Final

from yarl import URL

from flashsale.model.cursor import Cursor
from flashsale.model.events import Tally
from tests.loadtest.between import Forward, Question, Reply

Event = dict[str, Any]
Change = Callable[[list[Event]], list[Event]]
"""The facts of the journal -> those that are told of."""
_ENDS: Final = frozenset({"reservation.expired", "reservation.cancelled"})


def kind(event: Event) -> str:
    """Such as `reservation.held`."""
    return str(event["type"]).removeprefix("io.flashsale.").removesuffix(".v1")


def change_of(event: Event) -> tuple[str, str]:
    """Which reservation became what: the same however the events are numbered."""
    return event["subject"], kind(event)


def as_they_are(facts: list[Event]) -> list[Event]:
    """Nothing is changed; but the counters are those that the facts make, and the audit has nothing to say."""
    return facts


def without_the_extra(facts: list[Event]) -> list[Event]:
    """Without the reservation for which there was no unit left, as if it had never been."""
    left, extra = 0, set()
    for fact in facts:
        match kind(fact):
            case "item.restocked":
                left += fact["data"]["units"]
            case "reservation.held":
                left -= 1
                if left < 0:
                    extra.add(fact["data"]["reservation"])
                    left += 1
            case ended if ended in _ENDS:
                left += fact["data"]["reservation"] not in extra
    return [fact for fact in facts if fact["data"].get("reservation") not in extra]


def with_other_names(facts: list[Event]) -> list[Event]:
    """A customer's second reservation is somebody else's."""
    first: dict[str, str] = {}
    told = []
    for fact in facts:
        customer, reservation = fact["data"].get("customer"), fact["data"].get("reservation")
        second = bool(customer) and first.setdefault(customer, reservation) != reservation
        told.append({**fact, "data": {**fact["data"], "customer": f"{customer}-too"}} if second else fact)
    return told


def without_the_third_order(facts: list[Event]) -> list[Event]:
    """The third order is not told of."""
    return [fact for fact in facts if fact.get("sequence") != f"{3:015d}"]


class Books:
    """What is told, from the facts that there are."""

    def __init__(self, facts: list[Event], journal: Change, feed: Change) -> None:
        self.facts = _numbered(journal(facts), "factseq")
        self.orders = _numbered([fact for fact in feed(self.facts) if "sequence" in fact], "sequence")
        known = [fact for fact in facts if "sequence" in fact]
        told = {change_of(order) for order in self.orders}
        self._known = [int(fact["sequence"]) for fact in known]
        self._kept = [int(fact["sequence"]) for fact in known if change_of(fact) in told]
        self.changed = self.facts != facts or len(self.orders) != len(known)

    def counters(self) -> dict[str, dict[str, int]]:
        """sku -> stock, available, held, sold."""
        items: dict[str, dict[str, int]] = {}
        for fact in self.facts:
            data = fact["data"]
            if kind(fact) == "item.restocked":
                item = items.setdefault(data["sku"], dict.fromkeys(("stock", "available", "held", "sold"), 0))
                item["stock"] += data["units"]
                item["available"] += data["units"]
            for line in data.get("items", []):
                _move(items[line["sku"]], line["quantity"], kind(fact), late=data.get("late", False))
        return items

    @property
    def holds(self) -> int:
        """How many are held now."""
        return sum(item["held"] for item in self.counters().values())

    def tally(self) -> Tally:
        """The sums of the orders that are told of."""
        tally = Tally()
        for order in self.orders:
            tally = tally.plus(order["data"])
        return tally

    def told_sequence(self, sequence: int) -> int:
        """The number under which readers know how far the feed has got, when it has got to this one."""
        return sum(1 for kept in self._kept if kept <= sequence)

    def true_sequence(self, told: int) -> int:
        """The last number before the next one that is told of, for who has got so far."""
        return max(
            (each for each in self._known if each < next(iter(self._kept[told:]), each + 1)), default=0
        )


def _numbered(facts: list[Event], name: str) -> list[Event]:
    """Anew from 1, under this name; orders also among themselves."""
    orders, told = 0, []
    for number, fact in enumerate(facts, start=1):
        new = dict(fact, data=dict(fact["data"]))
        if name == "factseq":
            new["factseq"] = f"{number:015d}"
            new["id"] = f"{fact['id'].rpartition('.')[0]}.{number}"
        if "sequence" in fact:
            orders += 1
            new["sequence"], new["data"]["sequence"] = f"{orders:015d}", orders
        told.append(new)
    return told


def _move(item: dict[str, int], units: int, kind: str, *, late: bool) -> None:
    """What a fact does with the units of an item; a restocked refund is not among what the load test does."""
    moves = {
        "reservation.held": ("available", "held"),
        "reservation.expired": ("held", "available"),
        "reservation.cancelled": ("held", "available"),
        "reservation.confirmed": ("available" if late else "held", "sold"),
    }
    if kind in moves:
        source, target = moves[kind]
        item[source] -= units
        item[target] += units


class CookedBooks:
    """`journal` is what is told of the journal, `feed` what of that is told to order systems. Reads with the root key."""

    def __init__(self, key: str, journal: Change = as_they_are, feed: Change = as_they_are) -> None:
        self._headers = {"Authorization": f"Bearer {key}"}
        self._journal = journal
        self._feed = feed
        self.changed = False
        """Whether anything was told otherwise than it was."""

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        cooks = {"": _view, "stats": _stats, "audit": _audit, "events": _events, "orders/summary": _summary}
        parts = question.path.split("/", 4)
        if question.method == "GET" and question.path == "/v1/orders" and "sale" in question.url.query:
            return await self._orders(question, forward)
        what = parts[4] if len(parts) > 4 else ""
        if (
            question.method != "GET"
            or parts[:3] != ["", "v1", "sales"]
            or len(parts) < 4
            or what not in cooks
        ):
            return await forward(question)
        reply = await forward(question)
        if reply is None or reply.status != 200:
            return reply
        return reply.saying(cooks[what](reply.json, await self._books(parts[3], forward), question))

    async def _books(self, sale: str, forward: Forward) -> Books:
        facts: list[Event] = []
        while True:
            after = int(facts[-1]["factseq"]) if facts else 0
            url = URL(f"/v1/sales/{sale}/events").with_query(after=after, limit=1000)
            page = await forward(Question("GET", url, self._headers, b""))
            assert page is not None
            assert page.status == 200, page.body
            facts += page.json["events"]
            if not page.json["more"]:
                break
        books = Books(facts, self._journal, self._feed)
        self.changed |= books.changed
        return books

    async def _orders(self, question: Question, forward: Forward) -> Reply | None:
        sale, after = (
            question.url.query["sale"],
            Cursor.decode(question.url.query.get("after") or Cursor().encode()),
        )
        books = await self._books(sale, forward)
        true = books.true_sequence(after.of(sale))
        after.move(sale, true)
        reply = await forward(
            Question("GET", question.url.update_query(after=after.encode()), question.headers, b"")
        )
        if reply is None or reply.status != 200:
            return reply
        page, books = reply.json, await self._books(sale, forward)
        given = {change_of(event) for event in page["events"]}
        events = [order for order in books.orders if change_of(order) in given]
        reached = max((int(event["sequence"]) for event in page["events"]), default=true)
        after.sequences.clear()
        after.move(sale, books.told_sequence(reached))
        return reply.saying({"events": events, "cursor": after.encode(), "more": page["more"]})


def _view(found: Event, books: Books, _question: Question) -> Event:
    counters = books.counters()
    for item in found["items"]:
        item["available"] = counters.get(item["sku"], item)["available"]
    return found


def _stats(found: Event, books: Books, _question: Question) -> Event:
    counters = books.counters()
    found["items"] = [{**item, **counters.get(item["sku"], {})} for item in found["items"]]
    return found | {"seq": len(books.facts), "live_holds": books.holds}


def _audit(found: Event, books: Books, question: Question) -> Event:
    found = _stats(found, books, question) | {"ok": True, "findings": []}
    return found | {"facts": len(books.facts), "last_seq": len(books.facts)}


def _events(_found: Event, books: Books, question: Question) -> Event:
    after, limit = int(question.url.query.get("after", 0)), int(question.url.query.get("limit", 100))
    page = books.facts[after : after + limit]
    return {"events": page, "last_seq": after + len(page), "more": after + len(page) < len(books.facts)}


def _summary(found: Event, books: Books, _question: Question) -> Event:
    tally = books.tally()
    return found | {
        "sequence": tally.sequence,
        "decided": tally.sequence,
        "behind": 0,
        "orders": tally.confirmed - tally.refunded,
        "confirmed": {"count": tally.confirmed, "amount": tally.confirmed_amount},
        "refunded": {"count": tally.refunded, "amount": tally.refunded_amount},
        "digest": tally.digest,
        "last_event": books.orders[-1]["id"] if books.orders else None,
    }
