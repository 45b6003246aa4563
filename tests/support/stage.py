"""What the tests of the pages play on: a shop that takes guests, its provider, and one sale with a page.

with PagesHouse(folder) as house:
    async with Stage(house) as stage:
        await stage.open(stock=3)
        tab = await device.open(stage.url)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flashsale.model.payment import METHODS
from tests.support.browser import Device
from tests.support.house import House, Till, click
from tests.support_http.client import SECRET, instant
from tests.support_http.server import Server

BRAND = "Milano Motors"
TITLE = "Alfa Romeo Giulia Milano"
NAME = "Giulia Milano"


class PagesHouse(House):
    """A house whose server hands out pages, and tokens to guests. It can be stopped, and comes back at the same address."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        own = {
            "FLASHSALE_GUESTS": "1",
            "FLASHSALE_SHOPPER_SECRET": SECRET,
            "FLASHSALE_PAGES_BRAND": BRAND,
            "FLASHSALE_PAGES_POLL_SECONDS": "1",
        }
        super().__init__(folder, env={**own, **(env or {})})

    def stop_server(self) -> int:
        """The port, where nobody answers now."""
        port = self.server.port
        self.server.stop()
        return port

    def start_server(self, port: int) -> None:
        """At this port."""
        self.server = Server(self._folder, ["--redis-url", self.valkey.url], env=self.env, port=port)
        self._stack.callback(self.server.stop)

    def beside(self, env: Mapping[str, str]) -> Server:
        """Another server of the same store, with other settings. Whoever asks for it ends it."""
        return Server(self._folder, ["--redis-url", self.valkey.url], env={**self.env, **env})


class Stage(Till):
    """A sale of one item, one unit each, paid by a tenth at once and the rest in rates."""

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{self.house.url}/s/{self.sale}"

    @property
    def console(self) -> str:
        return f"{self.house.url}/console"

    async def open(self, stock: int = 5, *, hold_seconds: int = 3600, **changes: Any) -> None:
        """Open since an hour unless `opens_in` seconds says otherwise; `changes` replace fields of the definition."""
        await self.define(stock, hold_seconds=hold_seconds, **changes)

    async def define(self, stock: int = 5, *, opens_in: float = -3600, **changes: Any) -> None:
        """Defines the sale, or changes it before it opens."""
        terms = {
            "title": TITLE,
            "opens_at": instant(opens_in),
            "limit_per_customer": 1,
            "items": [{"sku": "giulia", "title": NAME, "price": 33_000_000, "stock": stock}],
            "payment": {"methods": list(METHODS), "deposit_percent": 10, "instalments": 36},
            **changes,
        }
        (await self.shop.define(self.sale, **terms)).must(200, 201)

    async def held_by_others(self, units: int) -> list[str]:
        """So many other customers hold a unit each; their reservations."""
        return [await self.hold(f"other-{number}") for number in range(units)]

    async def click_through(self, reservation: str, customer: str, method: str = "card") -> None:
        """Pays, as a client without a browser does."""
        await click(await self.ask(reservation, customer, method))
        await self.until(reservation, "confirmed", "paid")

    async def of(self, device: Device) -> list[dict[str, Any]]:
        """The reservations of whoever uses this device."""
        path = f"/v1/sales/{self.sale}/reservations/mine"
        answer = await self.shop.ask("GET", path, bearer=device.bearer)
        found: list[dict[str, Any]] = answer.must(200)["reservations"]
        return found
