"""A shop whose orders come fast: for those who read orders, and do not care how they were paid.

    async with Trade(folder) as trade:
        await trade.open("giulia", stock=100)
        made = await trade.sell("giulia", 40)        # ids of reservations that are orders now
        await trade.undo(made[0])
        async for order in OrderFeed(trade.url, trade.key): ...

Store, HTTP server and the work that sends orders out are programs of their own, and can be ended and started again. Only the
payment provider is left out: holds are confirmed by the scripts that a worker would call.
"""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flashsale.client import Client, OrdersSummary
from flashsale.keys import SaleKeys
from flashsale.model.payment import Money
from flashsale.process.embedded import EmbeddedValkey
from flashsale.process.ports import ReservedPort
from flashsale.scripts import payments as scripts
from flashsale.scripts.payments import ChargeClaim, Wish
from flashsale.scripts.reserve import Held
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.process.programs import Program
from tests.support.sales import claim
from tests.support.server import MEMORY_ONLY, PATIENCE_MS, PATIENCE_S, binary
from tests.support_http.client import ROOT_KEY, definition, eventually
from tests.support_http.server import PATIENT, Server

PRICE = 33_000_000
AT_ONCE = 500


class Trade:
    """Everything runs inside the block; `env` are settings of the server and of the work."""

    def __init__(
        self, folder: Path, *, durable: bool = False, workers: int = 1, env: Mapping[str, str] | None = None
    ) -> None:
        """`durable`: the store keeps its data, as shipped. `workers` are the server's."""
        self._folder = folder
        self._lines = () if durable else MEMORY_ONLY
        self._workers = workers
        self._env = {"FLASHSALE_ARCHIVE": "none", "FLASHSALE_WORK_ONLY": "orders", **PATIENT, **(env or {})}
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self.sale = ""
        """For tests that have one sale to speak of."""
        self.key = ""
        """An API key with the scope `orders`."""

    async def __aenter__(self) -> Self:
        with ExitStack() as stack:
            store = EmbeddedValkey(self._folder / "store", binary=binary(), extra_config=self._lines)
            self.valkey = stack.enter_context(store)
            self._port = stack.enter_context(ReservedPort()).port
            await asyncio.to_thread(self.start_server)
            stack.callback(self.end_server)
            await asyncio.to_thread(self.start_work)
            stack.callback(self.end_work)
            self.store = Store.connect(self.valkey.url, timeout_ms=PATIENCE_MS)
            self.sales = SaleStore(self.store, timeout_s=PATIENCE_S)
            self._lane = self.sales.lane()
            async with Client(self.url, ROOT_KEY) as brand:
                self.key = str((await brand.create_key("order system", ["orders"]))["key"])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._lane.close()
            await self.sales.close()
            await self.store.close()
        finally:
            await asyncio.to_thread(self._stack.close)

    # --- programs: starting waits until they are ready, ending is kill -9 ---

    @property
    def url(self) -> str:
        """The same also after a restart."""
        return self.server.url

    def start_server(self) -> None:
        arguments = ["--redis-url", self.valkey.url]
        folder = self._folder / f"server-{next(self._numbers)}"
        self.server = Server(folder, arguments, workers=self._workers, env=self._env, port=self._port)

    def end_server(self) -> None:
        self.server.stop()

    def start_work(self) -> None:
        env = {**self._env, "FLASHSALE_LOG_FORMAT": "json"}
        self.work = Program(["-m", "flashsale", "work", "--redis-url", self.valkey.url], self._folder, env)

    def end_work(self) -> None:
        self.work.end()

    # --- trade ---

    async def open(self, sale: str, stock: int = 10_000, **changes: Any) -> None:
        """A sale of `giulia`, open since an hour; a unit costs 33,000,000, a tenth of it at once."""
        terms = {"payment": {"methods": ["card"], "deposit_percent": 10}, "hold_seconds": 3600, **changes}
        async with Client(self.url, ROOT_KEY) as brand:
            await brand.put_sale(sale, definition(stock, **terms))

    async def sell(self, sale: str, count: int = 1) -> list[str]:
        """So many orders of one unit each; their reservations, in the order of confirming."""
        sold: list[str] = []
        while len(sold) < count:
            sold += await self._sell(sale, min(AT_ONCE, count - len(sold)))
        return sold

    async def undo(self, reservation: str) -> None:
        """Refunds an order; its unit goes back on sale."""
        async with Client(self.url, ROOT_KEY) as support:
            await support.refund(reservation, restock=True, reason="scratched")

    async def orders(self, sale: str) -> dict[str, str]:
        """What the journal says: reservation -> `confirmed` or `refunded`."""
        found: dict[str, str] = {}
        after = 0
        while facts := await self.sales.facts(sale, after=after):
            after = facts[-1].seq
            for fact in facts:
                if fact.type in {"reservation.confirmed", "reservation.refunded"}:
                    found[f"{sale}.0.{fact.token}"] = fact.type.partition(".")[2]
        return found

    async def summary(self, sale: str) -> OrdersSummary:
        """The shop's books, once they have everything that was decided."""

        async def look() -> OrdersSummary | None:
            async with Client(self.url, self.key) as client:
                found = await client.orders_summary(sale)
            return None if found["behind"] else found

        found = await eventually(look, f"everything of {sale} is in the feed")
        assert found is not None
        return found

    async def _sell(self, sale: str, count: int) -> list[str]:
        redis, names = self.store.redis, SaleKeys.of(sale)
        claims = [claim(f"c-{next(self._numbers)}", ("giulia", 1), sale=sale) for _ in range(count)]
        batch = await self.sales.reserve(self._lane, sale, claims)
        tokens = [each.reservation.token for each in batch.decisions if isinstance(each, Held)]
        assert len(tokens) == count, batch.decisions
        due = Money(PRICE // 10, "CNY")
        wishes = [Wish(token, "card", due) for token in tokens]
        await scripts.pay(redis, names, wishes, extension_ms=0, rate=0, queue_limit=1_000_000)
        charges = [ChargeClaim(token, 1, "card", due, f"sim:{token}") for token in tokens]
        decided = await scripts.confirm(redis, names, charges)
        assert {each.outcome.name for each in decided} == {"CONFIRMED"}, decided
        return [f"{sale}.0.{token}" for token in tokens]
