"""What the handlers of orders are given."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from flashsale.engine.facts import FactReader
from flashsale.engine.feed import Feed
from flashsale.store.orders import OrderStore


@dataclass(slots=True, frozen=True)
class Feeds:
    """The ways to read what a sale has made, as one worker has them."""

    orders: OrderStore
    feed: Feed
    """Of all sales but rehearsals."""
    rehearsed: Feed
    """Of rehearsals."""
    facts: FactReader


FEED: Final = web.AppKey("feeds", Feeds)
