"""What a shopper does with a hold: pay at the provider's page, cancel, or walk away."""

import math
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import gevent
import orjson
from _books import ms_of
from _caller import Caller
from _run import RUN
from _wire import Answer, Line

from flashsale.verdict.evidence import Hold

READ_SECONDS: Final = 0.15
READ_SECONDS_MAX: Final = 1.0
TOLD_SECONDS: Final = 15.0
"""So long after the end of the hold a shopper who has paid waits to be told."""
TRIES: Final = 8
DONE_BEFORE: Final = "done before"
"""What pressing again says of a payment that is agreed to, whether its money was taken already or not."""
AGREED: Final = frozenset({"authorised", "paid", DONE_BEFORE})
OVER: Final = frozenset({"confirmed", "cancelled", "expired", "refunded"})


class LeftError(Exception):
    """There is nothing more to do."""


class Checkout:
    """One hold of one shopper."""

    def __init__(self, shopper: Caller, hold: Hold) -> None:
        self._shopper = shopper
        self._hold = hold
        self._until_ms = 0
        """Of the server's clock: the end of the hold, as it was told last."""
        self._paid_at = ""
        """The provider's page of the latest payment."""

    def play(self) -> None:
        """From the hold to its end, or to the shopper's."""
        chance, options = RUN.chance, RUN.options
        draw = chance.random() * 100
        gevent.sleep(chance.lognormvariate(math.log(options.think_seconds), 0.5))
        if RUN.over.is_set():
            return
        RUN.ledger.busy += 1
        try:
            if draw < options.abandon:
                self._settled()
            elif draw < options.abandon + options.cancel:
                self._cancel()
            else:
                declined = draw < options.abandon + options.cancel + options.decline
                if declined and not self._pay("decline"):
                    gevent.sleep(0.5)
                self._pay("succeed")
                self._be_told()
        except LeftError:
            pass
        finally:
            RUN.ledger.busy -= 1
            RUN.ledger.hold(self._hold)

    def _settled(self) -> None:
        self._hold.settled = True

    def _ask(self, request: str, method: str, path: str, body: bytes = b"") -> Answer:
        """Asks until there is an answer other than 503; all of it may be done twice."""
        line = self._shopper.line
        text = line.render(method, path, body, Authorization=f"Bearer {self._shopper.token}")
        for attempt in range(TRIES):
            answer = self._shopper.ask(request, text)
            if answer.status not in {0, 503}:
                return answer
            gevent.sleep((answer.retry_after_s() or 0.2 * 2**attempt) * RUN.chance.uniform(1, 1.5))
        raise LeftError

    @property
    def _path(self) -> str:
        return f"/v1/reservations/{self._hold.reservation}"

    def _take(self, answer: Answer) -> dict[str, Any]:
        """The reservation as it was told; writes its status down."""
        fields = answer.fields()
        if answer.status not in {200, 202}:
            if answer.status:
                self._shopper.odd("read", f"{self._hold.reservation}: {answer.said()}", answer)
            raise LeftError
        self._hold.status = fields["status"]
        self._until_ms = ms_of(fields["held_until"])
        return fields

    def _read(self) -> dict[str, Any]:
        return self._take(self._ask("read", "GET", self._path))

    def _cancel(self) -> None:
        answer = self._ask("cancel", "DELETE", self._path)
        if answer.status in {200, 204}:
            self._hold.status = answer.fields().get("status", "cancelled")
            self._settled()
        elif answer.status == 409:
            self._read()
            self._settled()
        elif answer.status:
            self._shopper.odd("cancel", f"{self._hold.reservation}: {answer.said()}", answer)

    def _pay(self, outcome: str) -> bool:
        """Starts a payment and presses a button at the provider; whether money was agreed to."""
        assert RUN.plan is not None
        if not RUN.plan.methods:
            self._settled()  # nobody can pay
            raise LeftError
        body = orjson.dumps({"method": RUN.chance.choice(RUN.plan.methods)})
        answer = self._ask("pay", "POST", self._path + "/payment", body)
        fields = answer.fields()
        if answer.status != 202:
            if str(fields.get("code", "")).startswith("already_"):
                self._read()
                self._settled()
            elif answer.status:
                self._shopper.odd("pay", f"{self._hold.reservation}: {answer.said()}", answer)
            raise LeftError
        self._paid_at = self._page(self._take(answer))
        said = self._click(self._paid_at, outcome)
        if said.get("status") in AGREED:
            self._hold.payment, self._hold.charged = str(said["id"]), said["status"] == "paid"
            RUN.ledger.hold(self._hold)
            return True
        return False

    def _page(self, reservation: dict[str, Any]) -> str:
        """The page to pay at, as soon as the shop names it."""
        attempt, pause = (reservation["payment"] or {}).get("attempt"), READ_SECONDS
        while True:
            payment = reservation["payment"] or {}
            url = (payment.get("action") or {}).get("url")
            if payment.get("attempt") == attempt and url:
                return str(url)
            if reservation["status"] in OVER:
                self._settled()
                raise LeftError
            gevent.sleep(pause)
            pause = min(READ_SECONDS_MAX, 1.5 * pause)
            reservation = self._read()

    def _click(self, page: str, outcome: str) -> dict[str, Any]:
        """Presses a button at the provider's page."""
        parts = urlsplit(page)
        keys = parse_qs(parts.query).get("k")
        if not keys:
            self._settled()  # a provider of real money: nothing is paid there
            raise LeftError
        line = Line(self._shopper, f"{parts.scheme}://{parts.netloc}")
        body = orjson.dumps({"k": keys[0], "outcome": outcome})
        text = line.render("POST", parts.path, body)
        try:
            answer = self._press(line, text)
            for attempt in range(TRIES):
                if answer.status not in {0, 500, 503}:
                    break
                gevent.sleep(0.2 * 2**attempt)
                answer = self._press(line, text)
        finally:
            line.close()
        fields = answer.fields()
        error = fields.get("error")
        if answer.status == 409 and isinstance(error, dict) and error.get("code") == "already_paid":
            return {"id": parts.path.rpartition("/")[2], "status": DONE_BEFORE}
        return fields

    def _press(self, line: Line, text: bytes) -> Answer:
        answer = line.ask(text)
        self._shopper.tell("provider", answer, answer.took_ms)
        return answer

    def _be_told(self) -> None:
        """Reads until the shop says how it has ended."""
        pause = READ_SECONDS
        while True:
            reservation = self._read()
            refunding = (reservation["payment"] or {}).get("status") in {"refunding", "refunded", "cancelled"}
            if reservation["status"] in {"confirmed", "cancelled", "refunded"} or refunding:
                self._settled()
                return
            waited_ms = RUN.clock.now_ms() - self._until_ms
            if reservation["status"] == "expired" and not self._hold.payment:
                self._settled()
                return
            if waited_ms > TOLD_SECONDS * 1000:
                if self._hold.payment:
                    self._ask_the_provider()
                return
            gevent.sleep(pause)
            pause = min(READ_SECONDS_MAX, 1.5 * pause)

    def _ask_the_provider(self) -> None:
        """The shop never said what became of the money: pressing again shows whether it was given up or is with the shop."""
        self._hold.charged = self._click(self._paid_at, "succeed").get("status") in AGREED
