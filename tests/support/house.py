"""A shop with everything around it: store, HTTP server, payment worker and a payment simulator, each a process of its own.

with House(folder) as house:
    async with Till(house) as till:                      # one sale, and what its customers do
        await till.open(stock=2)
        held = await till.hold("ann")
        url = await till.ask(held, "card")               # POST .../payment, and the page it leads to
        await click(url)
        await till.until(held, "confirmed", "paid")
        await till.settled()                             # nothing is on its way any more
        await till.verdict(orders=1)                     # audit, reconcile and the provider's own books agree
"""

import asyncio
import json
import secrets
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from flashsale.keys import SaleKeys
from flashsale.model.payment import METHODS
from flashsale.process.embedded import EmbeddedValkey
from flashsale.process.ports import ReservedPort
from flashsale.providers.protocol import PaymentOrder
from flashsale.providers.signature import HEADER, signature
from flashsale.scripts.payments import GROUP
from flashsale.store.client import Store
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from tests.process.programs import Program, eventually
from tests.support.paying import click
from tests.support.server import MEMORY_ONLY, PATIENCE_MS, PATIENCE_S, binary
from tests.support.simulator import run_simulator
from tests.support_http.client import ROOT_KEY, Answer, Shop, new_sale_id, token
from tests.support_http.client import eventually as soon
from tests.support_http.server import PATIENT, Server

EVENTS_PATH = "/v1/payments/simulator/events"
LONG_MS = 10**10
"""By so much the clock is ahead when every hold is to end now: more than any lasts."""

__all__ = ["House", "PatientShop", "Till", "Verdict", "click"]


class PatientShop(Shop):
    """Asks again until it is answered: that nobody was there, or no store, is no answer."""

    async def ask(self, *arguments: Any, **options: Any) -> Answer:
        async def answered() -> Answer | None:
            try:
                answer = await Shop.ask(self, *arguments, **options)
            except aiohttp.ClientError:
                return None
            return None if answer.status == 503 else answer

        found = await soon(answered, f"{arguments} is answered")
        assert found is not None
        return found


class House:
    """Everything runs inside the block. The simulator's faults can be changed at any time; its books survive it."""

    def __init__(
        self, folder: Path, *, durable: bool = False, work: bool = True, env: Mapping[str, str] | None = None
    ) -> None:
        """`durable`: the store keeps its data, as shipped. Without `work` the test brings its own workers."""
        self._folder = folder
        self._durable = durable
        self._works = work
        self._extra = dict(env or {})
        self._stack = ExitStack()
        self._worker: Program | None = None
        self.books = folder / "simulator.jsonl"
        self._read, self._happened, self._sent = 0, 0, set[str]()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            lines = () if self._durable else MEMORY_ONLY
            store = EmbeddedValkey(self._folder / "store", binary=binary(), extra_config=lines)
            self.valkey = stack.enter_context(store)
            port = stack.enter_context(ReservedPort()).port
            self.simulator = stack.enter_context(
                run_simulator(webhook_url=f"http://127.0.0.1:{port}{EVENTS_PATH}", file=self.books)
            )
            # The store may be killed and come back empty, which an archive would not let pass.
            own = {"FLASHSALE_RECONCILE_SECONDS": "0", "FLASHSALE_ARCHIVE": "none"}
            self.env = {**self.simulator.env, **PATIENT, **own, **self._extra}
            self.server = Server(self._folder, ["--redis-url", self.valkey.url], env=self.env, port=port)
            stack.callback(self.server.stop)
            if self._works:
                self.start_worker()
            stack.callback(self.end_worker)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def worker(self) -> Program:
        assert self._worker is not None
        return self._worker

    def start_worker(self, **env: str) -> None:
        """`flashsale work`, as a program of its own."""
        arguments = ["-m", "flashsale", "work", "--redis-url", self.valkey.url]
        own = {**self.env, "FLASHSALE_LOG_FORMAT": "json", **env}
        program = self._worker = Program(arguments, self._folder, own)
        eventually(lambda: "work.ready" in program.err(), "the worker works")

    def end_worker(self) -> None:
        """As kill -9 does."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def pause_worker(self) -> None:
        """It stays where it is, with whatever it has in hand."""
        self.worker.send(signal.SIGSTOP)

    def resume_worker(self) -> None:
        self.worker.send(signal.SIGCONT)

    def undelivered(self) -> tuple[int, int]:
        """Webhooks that the simulator still has to deliver, and how many there ever were: from its file."""
        with self.books.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                kind, *rest = json.loads(line)
                self._happened += kind not in {"opened", "sent"}
                if kind == "sent":
                    self._sent.add(rest[0])
        return self._happened - len(self._sent), self._happened


@dataclass(frozen=True)
class Verdict:
    """What three books agree upon: charges that pay for orders, and charges that were given back."""

    orders: int
    refunds: int


class Till:
    """One sale of a house: what its customers, its support, its provider and an auditor do."""

    def __init__(self, house: House, shop: Shop | None = None) -> None:
        self.house = house
        self.sale = new_sale_id()
        self.shop = shop or Shop(house.url)
        self.store = Store.connect(house.valkey.url, timeout_ms=PATIENCE_MS)
        self.payments = PaymentStore(self.store, timeout_s=PATIENCE_S)
        self.sales = SaleStore(self.store, timeout_s=PATIENCE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shop.__aexit__(kind, error, traceback)
        await self.payments.close()
        await self.sales.close()
        await self.store.close()

    # --- the brand ---

    async def open(self, stock: int = 5, *, hold_seconds: int = 3600, **changes: Any) -> None:
        """A sale of `giulia`, open since an hour, that takes every method; a unit costs 33,000,000."""
        terms = {"payment": {"methods": list(METHODS)}, **changes}
        (await self.shop.define(self.sale, stock=stock, hold_seconds=hold_seconds, **terms)).must(200, 201)

    async def time_passes(self) -> None:
        """Every hold of the sale ends now."""
        await self.sales.expire(self.sale, limit=1000, now_ms=round(time.time() * 1000) + LONG_MS)

    async def refund(self, reservation: str, *, restock: bool = True) -> Any:
        path = f"/v1/reservations/{reservation}/refund"
        answer = await self.shop.ask(
            "POST", path, bearer=ROOT_KEY, json={"restock": restock, "reason": "scratched"}
        )
        return answer.must(200)

    async def dead(self) -> list[dict[str, Any]]:
        path = f"/v1/sales/{self.sale}/payments/dead"
        found: list[dict[str, Any]] = (await self.shop.ask("GET", path, bearer=ROOT_KEY)).must(200)["jobs"]
        return found

    async def retry_dead(self) -> int:
        path = f"/v1/sales/{self.sale}/payments/dead/retry"
        answer = await self.shop.ask("POST", path, bearer=ROOT_KEY, json={"id": None})
        return int(answer.must(200)["retried"])

    async def reconcile(self, *, everything: bool = False) -> Any:
        body = {"sale": None if everything else self.sale}
        answer = await self.shop.ask("POST", "/v1/payments/reconcile", bearer=ROOT_KEY, json=body)
        return answer.must(200)

    # --- the customers: each reservation belongs to the customer that is named in it ---

    async def hold(self, customer: str, *, key: str | None = None) -> str:
        """A reservation of one unit; its id."""
        return str((await self.shop.reserve(self.sale, customer, key=key)).must(200, 201)["id"])

    async def read(self, reservation: str) -> Any:
        answer = await self.shop.ask("GET", f"/v1/reservations/{reservation}", bearer=ROOT_KEY)
        return answer.must(200)

    async def start(self, reservation: str, customer: str, method: str) -> Answer:
        path = f"/v1/reservations/{reservation}/payment"
        return await self.shop.ask("POST", path, bearer=token(customer), json={"method": method})

    async def ask(self, reservation: str, customer: str, method: str) -> str:
        """Starts a payment; the address of the page on which the customer pays."""
        (await self.start(reservation, customer, method)).must(202)
        return await self.page(reservation, method)

    async def page(self, reservation: str, method: str) -> str:
        """The address of the page, once there is one."""

        async def look() -> str:
            payment = (await self.read(reservation))["payment"]
            asked = payment["status"] == "requires_action" and payment["method"] == method
            return str(payment["action"]["url"]) if asked else ""

        return await soon(look, "the customer is asked to pay")

    async def until(self, reservation: str, status: str, payment: str) -> Any:
        """The reservation once it, and its payment, have these statuses."""

        async def look() -> Any:
            found = await self.read(reservation)
            now = (found["status"], found["payment"]["status"] if found["payment"] else None)
            return found if now == (status, payment) else None

        return await soon(look, f"the reservation is {status}, its payment {payment}")

    # --- the provider ---

    async def ledger(self) -> list[dict[str, Any]]:
        """The payments of this sale in the provider's books, in the order of making."""
        payments = await asyncio.to_thread(self.house.simulator.payments)
        return [
            each for each in payments if each["metadata"].get("reservation", "").startswith(f"{self.sale}.0.")
        ]

    async def charged(self) -> list[tuple[int, int]]:
        """Of each charge of this sale, what was taken and what was given back, by the provider's books."""
        return [
            (each["amount"], each["refunded"]) for each in await self.ledger() if each["status"] == "paid"
        ]

    async def opened_elsewhere(self, reservation: str, method: str = "alipay", **changes: Any) -> str:
        """A payment that somebody else than the shop's worker has opened with its secret; the address of its page.

        Without changes it is the very payment that the worker opens, or has opened, for the first attempt.
        """
        order = PaymentOrder(
            **{
                "shop": "flashsale",
                "reservation": reservation,
                "attempt": 1,
                "customer": "ann",
                "description": "Giulia Milano",
                "method": method,
                "amount": 33_000_000,
                "currency": "CNY",
                **changes,
            }
        )
        metadata = {
            "shop": order.shop,
            "reservation": order.reservation,
            "attempt": str(order.attempt),
            "customer": order.customer,
        }
        body = {
            "amount": order.amount,
            "currency": order.currency,
            "method": method,
            "capture": "manual" if method in {"card", "paypal", "klarna"} else "automatic",
            "description": order.description,
            "metadata": metadata,
        }
        made = await asyncio.to_thread(self.house.simulator.call, "POST", "/v1/payments", body, order.key)
        return str(made["url"])

    async def faults(self, **faults: float) -> None:
        await asyncio.to_thread(self.house.simulator.set_faults, **faults)

    async def tell(
        self,
        payment: Mapping[str, Any],
        kind: str,
        *,
        at_s: int | None = None,
        secret: str | None = None,
        header: str | None = None,
        **changes: Any,
    ) -> Answer:
        """A webhook about this payment with some changes, signed by the provider unless told otherwise."""
        event = {
            "id": f"evt_{secrets.token_hex(8)}",
            "type": f"payment.{kind}",
            "created_ms": 0,
            "payment": {**payment, **changes},
        }
        body = json.dumps(event).encode()
        key = (secret or self.house.simulator.secret).encode()
        signed = signature(key, round(time.time()) if at_s is None else at_s, body)
        headers = {HEADER: signed if header is None else header, "Content-Type": "application/json"}
        return await self.shop.ask("POST", EVENTS_PATH, headers=headers, data=body)

    # --- the end ---

    async def queue_is_empty(self) -> bool:
        """Whether no job of this sale, or of none, is due, in hand, or put off."""
        sales = [self.sale, "_stray"]
        lengths = [await self.payments.length(sale) for sale in sales]
        return not any(lengths) and not any(map(any, await self.payments.waiting(sales)))

    async def settled(self) -> None:
        """Waits until nothing is on its way: every webhook delivered, every job done or put aside."""

        async def look() -> bool:
            before = await self.queue_is_empty(), self.house.undelivered()
            return (
                before == (await self.queue_is_empty(), self.house.undelivered())
                and before[0]
                and not before[1][0]
            )

        try:
            await soon(look, "nothing is on its way any more")
        except AssertionError as error:
            raise AssertionError(f"{error}: {await self.on_its_way()}") from error

    async def on_its_way(self) -> dict[str, Any]:
        """What `settled` waits for, for whoever reads the failure."""
        names = SaleKeys.of(self.sale)
        return {
            "webhooks": self.house.undelivered(),
            "jobs": await self.store.redis.xrange(names.payments),
            "taken": await self.store.redis.xpending(names.payments, GROUP),
            "waiting": await self.payments.waiting([self.sale]),
        }

    async def verdict(self, *, orders: int = 0, refunds: int = 0) -> None:
        """The audit, the comparison with the provider, and the provider's own books agree upon so many of each."""
        assert not await self.dead()
        report = await self.shop.audit(self.sale)
        money = {each["currency"]: each for each in report["money"]}
        found = Verdict(
            sum(each["orders"]["count"] for each in money.values()),
            sum(each["refunds"]["count"] for each in money.values()),
        )
        assert found == Verdict(orders, refunds), report["money"]
        assert report["reservations"].get("confirmed", 0) == orders
        for each in money.values():
            assert each["refunding"]["count"] == 0
            assert each["charges"]["amount"] == each["orders"]["amount"] + each["refunds"]["amount"]
        books = await self.reconcile()
        assert books["ok"], books["open"]
        assert (books["charges"], books["applied"], books["settled"]) == (orders + refunds, 0, 0), books
        ledger = await self.ledger()
        assert not [each for each in ledger if each["status"] == "authorised"], (
            "somebody's money is kept waiting"
        )
        charges = [each for each in ledger if each["status"] == "paid"]
        for each in charges:
            assert each["refunded"] in {0, each["amount"]}
            done = [one for one in each["refunds"] if one["status"] == "succeeded"]
            assert len(done) == (1 if each["refunded"] else 0), "given back more than once"
        kept = [each for each in charges if not each["refunded"]]
        assert (len(kept), len(charges) - len(kept)) == (orders, refunds)
        for currency, each in money.items():
            assert (
                sum(one["amount"] for one in kept if one["currency"] == currency) == each["orders"]["amount"]
            )
