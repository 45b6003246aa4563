"""What tests of the feed read it with."""

from collections.abc import Callable
from typing import Any, Final

from flashsale.engine.feed import Feed
from flashsale.model.cursor import Cursor
from flashsale.store.orders import Published

LARGE: Final = 1 << 20
"""Bytes: more than all the events of a test."""

FeedOf = Callable[..., Feed]


async def read_all(feed: Feed, cursor: Cursor | None = None, **wanted: Any) -> list[Published]:
    """Everything there is now."""
    found: list[Published] = []
    with feed.reader(cursor or Cursor(), **wanted) as reader:
        while True:
            batch = await reader.take(7, LARGE)
            found += batch.events
            if not batch.more:
                return found
