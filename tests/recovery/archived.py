"""What a test does with the archive of a sale: put what the journal has into it, and lose what the store has.

- `keep()`: archives what is new in the journal, as the background work does;
- `save()` and `put_back(saved)`: a backup of all that the store has, and the store as it was then;
- `lose()`: the store has nothing any more.
"""

from collections.abc import Mapping, Sequence

from flashsale.archive import Archive, ArchivedFact
from flashsale.engine.cloudevents import EventMaker
from flashsale.keys import GUARD
from flashsale.model.facts import Fact
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore

Saved = Mapping[bytes, bytes]
"""key -> as DUMP has it"""


class Archived:
    """The archive of one sale."""

    def __init__(self, archive: Archive, sales: SaleStore, sale: str) -> None:
        self.archive = archive
        self._sales = sales
        self._sale = sale

    def seq(self) -> int:
        """The last fact that the archive has."""
        position = self.archive.position(self._sale)
        return position.seq if position is not None else 0

    async def keep(self, limit: int = 1_000_000) -> int:
        """Archives what is new in the journal, at most so many facts; how many."""
        after = self.seq()
        facts = (await self._sales.facts(self._sale, after=after, limit=1000))[:limit]
        if not facts:
            return 0
        assert self.archive.append(self._sale, after, await self.with_events(facts))
        return len(facts) + (await self.keep(limit - len(facts)) if limit > len(facts) else 0)

    async def with_events(self, facts: Sequence[Fact]) -> list[ArchivedFact]:
        """As the archive takes them."""
        events = await EventMaker(self._sales, "flashsale").make(self._sale, facts)
        return list(zip(facts, events, strict=True))


async def save(store: Store) -> Saved:
    keys = [key async for key in store.redis.scan_iter(count=1000)]
    return {key: await store.redis.dump(key) or b"" for key in keys}


async def put_back(store: Store, saved: Saved, *, new_process: bool = True) -> None:
    """`new_process`: the fence is closed, as if the server had started again."""
    await store.redis.flushall()
    for key, value in saved.items():
        await store.redis.restore(key, 0, value)
    if new_process:
        await store.redis.hset(GUARD, "run_id", "0" * 40)
