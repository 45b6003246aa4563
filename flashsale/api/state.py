"""What the handlers are given, under typed keys of the application."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from flashsale.engine.payments import Payments
from flashsale.engine.reservations import Reservations
from flashsale.engine.sales import Sales
from flashsale.identity.api_keys import ApiKeys
from flashsale.identity.tokens import ShopperTokens
from flashsale.metrics import Requests
from flashsale.settings import Settings
from flashsale.store.client import Store


@dataclass(slots=True)
class Drain:
    """Whether this worker is on its way out: then every answer closes its connection, and /readyz says 503."""

    active: bool = False


@dataclass(slots=True, frozen=True)
class Shop:
    """The engine and its surroundings, as one worker has them."""

    settings: Settings
    store: Store
    sales: Sales
    reservations: Reservations
    payments: Payments
    tokens: ShopperTokens
    api_keys: ApiKeys
    requests: Requests


DRAIN: Final = web.AppKey("drain", Drain)
SHOP: Final = web.AppKey("shop", Shop)
