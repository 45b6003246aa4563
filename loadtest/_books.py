"""The shop's side of a run: makes the sale, and reads the engine's books and the order feed when it is over."""

import os
import time
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import requests
from _clock import ServerClock, monotonic_ms

from flashsale.model import instants
from flashsale.verdict.evidence import Counters, Engine, Fact, Feed, FeedOrder, Item, Terms
from flashsale.verdict.money import on_their_way

PAGE: Final = 1000
TIMEOUT_S: Final = 15.0
AUDIT_TIMEOUT_S: Final = 600.0
TRIES: Final = 5
READINGS: Final = 20
READ_AGAIN_S: Final = 0.5
PREFIX, SUFFIX = "io.flashsale.", ".v1"


class BooksError(Exception):
    """The server did not do what the run needs; the message says what, and what it answered."""


class Shop:
    """One sale of one server, with an API key."""

    def __init__(self, host: str, api_key: str, sale: str) -> None:
        self.sale = sale
        self.clock = ServerClock()
        self._host = host.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy for a server on this machine
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._session.headers["Authorization"] = f"Bearer {api_key}"

    def _ask(self, method: str, path: str, *, timeout_s: float = TIMEOUT_S, **how: Any) -> requests.Response:
        """Asks until there is an answer other than 503; every request of this class may be made twice."""
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                response = self._session.request(method, self._host + path, timeout=timeout_s, **how)
            except requests.RequestException as fault:
                if last:
                    raise BooksError(f"{method} {path}: no answer from {self._host}: {fault}") from fault
            else:
                if response.status_code != 503 or last:
                    return response
            time.sleep(0.3 * 2**attempt)
        raise AssertionError("not reached")

    def _json(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        response = self._ask(method, path, **how)
        if response.status_code >= 300:
            said = response.text[:300]
            raise BooksError(f"{method} {path}: {response.status_code} {said}")
        found = response.json()
        if not isinstance(found, dict):
            raise BooksError(f"{method} {path}: not a JSON object: {response.text[:100]}")
        return found

    # --- the sale ---

    def view(self) -> dict[str, Any] | None:
        """Its public view; None when there is none. The server's clock is learnt on the way."""
        sent = monotonic_ms()
        response = self._ask("GET", f"/v1/sales/{self.sale}")
        received = monotonic_ms()
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise BooksError(f"GET /v1/sales/{self.sale}: {response.status_code} {response.text[:300]}")
        found = response.json()
        self.clock.learn(sent, ms_of(found["server_time"]), received)
        return dict(found)

    def define(self, definition: dict[str, Any], opens_ms: int) -> None:
        """Makes the sale, or moves its opening."""
        body = dict(definition, opens_at=instants.to_rfc3339(opens_ms))
        self._json("PUT", f"/v1/sales/{self.sale}", json=body)

    def version(self) -> str:
        """Which flashsale it runs, as its OpenAPI document says."""
        return str(self._json("GET", "/openapi.json")["info"]["version"])

    def restock(self, sku: str, units: int, key: str) -> None:
        """Adds units."""
        path = f"/v1/sales/{self.sale}/items/{quote(sku, safe='')}/restock"
        self._json(
            "POST", path, json={"units": units, "reason": "load test"}, headers={"Idempotency-Key": key}
        )

    def close(self) -> None:
        """Closes the sale."""
        self._json("POST", f"/v1/sales/{self.sale}/close")

    def check_key(self, rehearsal: bool) -> None:
        """Sees that the key may read what the verdict needs, before anybody comes.

        Raises:
            BooksError: it may not.
        """
        self._json("GET", f"/v1/sales/{self.sale}/stats")
        self._json("GET", "/v1/orders", params=self._feed_query(rehearsal) | {"limit": 1})

    # --- the books ---

    def settled(self, seconds: float) -> int:
        """Waits until all orders are in the feed, and at most so long; the number of the last of them."""
        deadline = time.monotonic() + seconds
        while True:
            summary = self._json("GET", f"/v1/sales/{self.sale}/orders/summary")
            if not summary["behind"] or time.monotonic() > deadline:
                return int(summary["sequence"])
            time.sleep(0.1)

    def engine(self) -> Engine:
        """The engine's books. What cannot be read is in its `trouble`."""
        engine = Engine(state="", items={}, audit_ok=False, audit_findings=[], facts=[])
        for read in (self._read_audit, self._read_facts_and_counters, self._read_summary):
            try:
                read(engine)
            except (BooksError, LookupError, TypeError, ValueError) as fault:
                engine.trouble.append(f"{type(fault).__name__}: {fault}")
        return engine

    def _read_facts_and_counters(self, engine: Engine) -> None:
        """Both as of one moment: a hold may end in between, or a charge be on its way back, and then they are read again."""
        self._read_counters(engine)
        for _ in range(READINGS):
            self._read_facts(engine)
            engine.read_ms = self.clock.now_ms()
            before = engine.items
            self._read_counters(engine)
            engine.at_one_moment = engine.items == before
            if on_their_way(engine.facts):
                time.sleep(READ_AGAIN_S)
            elif engine.at_one_moment:
                return

    def _read_facts(self, engine: Engine) -> None:
        after = engine.facts[-1].seq if engine.facts else 0
        while True:
            page = self._json("GET", f"/v1/sales/{self.sale}/events", params={"after": after, "limit": PAGE})
            engine.facts += [fact_of(event) for event in page["events"]]
            after = page["last_seq"]
            if not page["more"]:
                return

    def _read_audit(self, engine: Engine) -> None:
        found = self._json("GET", f"/v1/sales/{self.sale}/audit", timeout_s=AUDIT_TIMEOUT_S)
        engine.audit_ok = found["ok"]
        engine.audit_findings = [str(finding["detail"]) for finding in found["findings"]]

    def _read_counters(self, engine: Engine) -> None:
        found = self._json("GET", f"/v1/sales/{self.sale}/stats")
        engine.state = found["state"]
        engine.items = {
            item["sku"]: Counters(item["stock"], item["available"], item["held"], item["sold"])
            for item in found["items"]
        }

    def _read_summary(self, engine: Engine) -> None:
        engine.summary = self._json("GET", f"/v1/sales/{self.sale}/orders/summary")

    def feed(self, *, rehearsal: bool) -> Feed:
        """The whole order feed of the sale, from its beginning."""
        feed, cursor = Feed(), None
        try:
            while True:
                query = self._feed_query(rehearsal) | {"limit": PAGE} | ({"after": cursor} if cursor else {})
                page = self._json("GET", "/v1/orders", params=query)
                feed.orders += [order_of(event) for event in page["events"]]
                cursor = page["cursor"]
                if not page["more"]:
                    return feed
        except (BooksError, LookupError, TypeError, ValueError) as fault:
            feed.trouble.append(f"{type(fault).__name__}: {fault}")
        return feed

    def _feed_query(self, rehearsal: bool) -> dict[str, Any]:
        return feed_query(self.sale, rehearsal=rehearsal)


def feed_query(sale: str, *, rehearsal: bool) -> dict[str, Any]:
    """What to ask the feed for, to get the orders of this sale; those of a rehearsal have to be asked for."""
    return {"sale": sale, **({"rehearsal": "true"} if rehearsal else {})}


def ms_of(instant: str) -> int:
    """Milliseconds of an RFC 3339 instant."""
    return instants.from_datetime(datetime.fromisoformat(instant))


def now_ms() -> int:
    """By this machine's clock: for names and times of reports only."""
    return instants.from_datetime(datetime.now(UTC))


def terms_of(view: dict[str, Any]) -> Terms:
    """The terms of a sale, as its public view tells them."""
    return Terms(
        sale=view["id"],
        title=view["title"],
        opens_ms=ms_of(view["opens_at"]),
        closes_ms=ms_of(view["closes_at"]) if view["closes_at"] else None,
        hold_ms=view["hold_seconds"] * 1000,
        limit=view["limit_per_customer"],
        items=[
            Item(item["sku"], item["stock"], item["limit_per_customer"], item["price"])
            for item in view["items"]
        ],
        currency=view["currency"],
    )


def units_of(lines: list[dict[str, Any]]) -> dict[str, int]:
    """Units by sku, of the items of a reservation."""
    return {line["sku"]: line["quantity"] for line in lines}


def _payment_of(data: dict[str, Any]) -> str:
    """The charge that an event is about, by the provider's own name of it."""
    charge = data.get("payment") or (data if "refund_id" in data else {})
    return str(charge.get("reference") or "")


def fact_of(event: dict[str, Any]) -> Fact:
    """A fact of the journal from its CloudEvent."""
    data, kind = event["data"], event["type"].removeprefix(PREFIX).removesuffix(SUFFIX)
    units = {data["sku"]: data["units"]} if kind == "item.restocked" else units_of(data.get("items", []))
    return Fact(
        seq=int(event["factseq"]),
        at_ms=ms_of(event["time"]),
        type=kind,
        reservation=data.get("reservation", ""),
        customer=data.get("customer", ""),
        units=units,
        sequence=int(event.get("sequence", 0)),
        payment=_payment_of(data),
        restocked=(data.get("refund") or {}).get("restocked", False),
        place=data.get("place", 0),
        until_ms=ms_of(data["held_until"]) if data.get("held_until") else 0,
    )


def order_of(event: dict[str, Any]) -> FeedOrder:
    """An order of the feed from its CloudEvent."""
    data = event["data"]
    return FeedOrder(
        sequence=int(event["sequence"]),
        status=data["status"],
        reservation=data["reservation"],
        customer=data["customer"],
        units=units_of(data["items"]),
        payment=_payment_of(data),
        at_ms=ms_of(event["time"]),
    )
