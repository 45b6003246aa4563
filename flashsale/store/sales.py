"""Everything the engine asks of the store about sales, with failures as `StoreUnavailableError`."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from flashsale import keys
from flashsale.keys import SaleKeys
from flashsale.model.facts import Fact
from flashsale.model.outcomes import OpenSale, Restock, SetState
from flashsale.model.reservation import Entry, Reservation, unpack_record
from flashsale.model.sale import SaleDefinition
from flashsale.scripts import calls
from flashsale.scripts import reserve as reserving
from flashsale.scripts.calls import Glance, Look, Resolved, Sweep
from flashsale.scripts.loader import load
from flashsale.store.client import Store, sale_recovering
from flashsale.store.gather import Gathers
from flashsale.store.lane import Lane
from flashsale.store.streams import Tail

_PAGE = 1000
_LAST_OF_SEQ: Final = (1 << 64) - 1
MOST_HOLDERS: Final = 50_000
MOST_SHARING: Final = 100_000
"""Who may share one look at a sale: it costs the same for all of them."""


@dataclass(frozen=True, slots=True)
class StoredDefinition:
    """A definition as it is in force, and its version (it grows with each, and never repeats)."""

    definition: SaleDefinition
    version: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Whether a sale is a rehearsal."""

    rehearsal: bool
    settled: bool
    """It has opened, so that this cannot change any more: until then another definition may say otherwise."""


class SaleStore:
    """The sales of one store. Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store, *, timeout_s: float = 2.0) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._lanes: list[Lane] = []
        self._reader = self.lane()
        self._tail = Tail(store, timeout_s=timeout_s)
        self._finds = Gathers(self._find_each, most=_PAGE)
        self._glances = Gathers(self._look_for_all, most=MOST_SHARING)
        self._entries = Gathers(self._entries_of_each, most=_PAGE)

    async def open_sale(
        self, sale: str, definition: SaleDefinition, *, now_ms: int = 0
    ) -> tuple[OpenSale, int, int]:
        """Defines a sale. The index is written first: an entry without a sale is harmless, a sale without one is not."""
        async with self._store.guard() as redis:
            await redis.hset(keys.SALES, sale, "1")
            return await calls.open_sale(redis, SaleKeys.of(sale), definition, now_ms=now_ms)

    async def sale_ids(self) -> list[str]:
        """Every sale in the index, sorted."""
        async with self._store.guard() as redis:
            return sorted(_text(field) for field in await redis.hkeys(keys.SALES))

    async def definition(self, sale: str) -> StoredDefinition | None:
        """The definition in force, or None when there is no such sale.

        Raises:
            SaleRecoveringError: there was one, and it is lost until the sale was recovered.
        """
        async with self._store.guard() as redis:
            text, version, recovering = await redis.hmget(
                SaleKeys.of(sale).sale, ["definition", "version", "recovering"]
            )
        if text is None or version is None:
            if recovering is not None:
                raise sale_recovering()
            return None
        return StoredDefinition(SaleDefinition.model_validate_json(text), int(version))

    async def recovering(self, sales: Sequence[str]) -> set[str]:
        """Those of the sales that stay as they are until `flashsale recover`."""
        if not sales:
            return set()
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            for sale in sales:
                pipe.hexists(SaleKeys.of(sale).sale, "recovering")
            found = await pipe.execute()
        return {sale for sale, marked in zip(sales, found, strict=True) if marked}

    async def marks(self, sales: Sequence[str]) -> dict[str, Mark]:
        """Whether these sales are rehearsals, as each of them stands now."""
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            for sale in sales:
                pipe.hmget(SaleKeys.of(sale).sale, ["rehearsal", "opened"])
            found = await pipe.execute()
        return {
            sale: Mark(rehearsal is not None, opened is not None)
            for sale, (rehearsal, opened) in zip(sales, found, strict=True)
        }

    def lane(self) -> Lane:
        """A connection of its own for `reserve`."""
        lane = Lane(self._store.redis, timeout_s=self._timeout_s)
        self._lanes.append(lane)
        return lane

    async def reserve(
        self, lane: Lane, sale: str, claims: Sequence[reserving.Claim], *, now_ms: int = 0
    ) -> reserving.Batch:
        """Decides a batch of claims in one call."""
        reply = await lane.call(load("reserve"), SaleKeys.of(sale).book(), reserving.encode(claims, now_ms))
        return reserving.decode(claims, reply)

    def start_reserve(
        self,
        lane: Lane,
        sale: str,
        claims: Sequence[reserving.Claim],
        decided: Callable[[reserving.Batch], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """The same for the hot path: see `Lane.start`. One of the two is told."""

        def told(reply: Any) -> None:
            try:
                batch = reserving.decode(claims, reply)
            except BaseException as error:
                failed(error)
                raise
            decided(batch)

        lane.start(load("reserve"), SaleKeys.of(sale).book(), reserving.encode(claims), told, failed)

    async def holders(self, sale: str) -> tuple[int, AbstractSet[str]] | None:
        """The last place granted, and every customer who had something of the sale at that time, or a little later.

        None when there are more than `MOST_HOLDERS`: reading them all would keep everybody else waiting.
        """
        names = SaleKeys.of(sale)
        async with self._store.guard() as redis:
            if await redis.hlen(names.customers) > MOST_HOLDERS:
                return None
            place = await redis.hget(names.sale, "place")
            customers = await redis.hkeys(names.customers)
        return int(place or 0), {_text(customer) for customer in customers}

    async def look(
        self, sale: str, *, customers: Sequence[str] = (), tokens: Sequence[str] = (), now_ms: int = 0
    ) -> Look:
        """One consistent look at a sale."""
        async with self._store.guard() as redis:
            return await calls.inspect(
                redis, SaleKeys.of(sale), customers=customers, tokens=tokens, now_ms=now_ms
            )

    async def find(self, sale: str, tokens: Sequence[str]) -> Glance:
        """Some reservations (1 to 1000) and their payments: cheaper than a look at the whole sale."""
        return await self._find(sale, tokens)

    async def find_one(self, sale: str, token: str) -> Glance:
        """The same for one reservation. Those that are asked for at the same time go together."""
        return await self._finds.ask(sale, token)

    async def _find(self, sale: str, tokens: Sequence[str]) -> Glance:
        reply = await self._reader.call(load("find"), SaleKeys.of(sale).paid_book(), [0, *tokens])
        return calls.found(tokens, reply)

    async def _find_each(self, sale: str, tokens: Sequence[str]) -> Sequence[Glance]:
        all_of_them = await self._find(sale, tokens)
        return [all_of_them.only(at) for at in range(len(tokens))]

    async def shared_look(self, sale: str) -> Look:
        """As `look`, one for all who ask at the same time: a crowd that comes to a page costs one call at a time."""
        return await self._glances.ask(sale, None)

    async def _look_for_all(self, sale: str, askers: Sequence[None]) -> Sequence[Look]:
        return [await self.look(sale)] * len(askers)

    async def entries(self, sale: str, customer: str) -> Sequence[Entry]:
        """What a customer has of a sale, oldest first; many customers who ask at the same time are looked up in one call."""
        return await self._entries.ask(sale, customer)

    async def _entries_of_each(self, sale: str, customers: Sequence[str]) -> Sequence[Sequence[Entry]]:
        return (await self.look(sale, customers=customers)).entries

    async def cancel(self, sale: str, token: str, *, reason: str, now_ms: int = 0) -> Resolved:
        """Ends a hold early."""
        async with self._store.guard() as redis:
            return await calls.cancel(redis, SaleKeys.of(sale), token, reason=reason, now_ms=now_ms)

    async def extend(self, sale: str, token: str, *, extension_ms: int, now_ms: int = 0) -> Resolved:
        """Moves the end of a hold, once in its life."""
        async with self._store.guard() as redis:
            return await calls.extend(
                redis, SaleKeys.of(sale), token, extension_ms=extension_ms, now_ms=now_ms
            )

    async def expire(self, sale: str, *, limit: int, now_ms: int = 0) -> Sweep:
        """Ends up to `limit` overdue holds."""
        async with self._store.guard() as redis:
            return await calls.expire(redis, SaleKeys.of(sale), limit=limit, now_ms=now_ms)

    async def restock(
        self, sale: str, *, sku: str, units: int, reason: str, repeat_key: str = "", now_ms: int = 0
    ) -> Restock:
        """Adds units to an item; the same `repeat_key` ("" for none) adds them once."""
        async with self._store.guard() as redis:
            return await calls.restock(
                redis,
                SaleKeys.of(sale),
                sku=sku,
                units=units,
                reason=reason,
                repeat_key=repeat_key,
                now_ms=now_ms,
            )

    async def set_state(self, sale: str, verb: str, *, now_ms: int = 0) -> SetState:
        """`verb` is pause, resume or close."""
        async with self._store.guard() as redis:
            return await calls.set_state(redis, SaleKeys.of(sale), verb, now_ms=now_ms)

    async def facts(self, sale: str, *, after: int = 0, limit: int = _PAGE) -> list[Fact]:
        """Up to `limit` facts with a seq above `after`, in order."""
        async with self._store.guard() as redis:
            entries: Any = await redis.xrange(SaleKeys.of(sale).journal, min=str(after + 1), count=limit)
        return [fact_of(entry_id, fields) for entry_id, fields in entries]

    async def tail(
        self, after: Mapping[str, int], *, block_ms: int, limit: int = _PAGE
    ) -> dict[str, list[Fact]]:
        """Facts of several sales behind these seqs, at most `limit` a sale, waiting up to `block_ms` for the first.

        One call at a time: others wait for it. `block_ms` has to be less than the timeout.
        """
        by_key = {SaleKeys.of(sale).journal: sale for sale in after}
        ids = {SaleKeys.of(sale).journal: f"{seq}-{_LAST_OF_SEQ}" for sale, seq in after.items()}
        found = await self._tail.read(ids, block_ms=block_ms, limit=limit)
        return {by_key[key]: [fact_of(*entry) for entry in entries] for key, entries in found}

    async def reservations(self, sale: str, tokens: Sequence[str]) -> list[Reservation | None]:
        """Some reservations (at most 1000) as they are stored, one for each token.

        Raises:
            ValueError: one cannot be read.
        """
        if not tokens:
            return []
        found = await self._reader.command("HMGET", SaleKeys.of(sale).reservations, *tokens)
        return [
            unpack_record(token, packed) if packed else None
            for token, packed in zip(tokens, found, strict=True)
        ]

    async def definition_text(self, sale: str) -> bytes | None:
        """The definition in force in its canonical form; None when there is no such sale."""
        text: bytes | None = await self._reader.command("HGET", SaleKeys.of(sale).sale, "definition")
        return text

    async def close(self) -> None:
        """Closes the lanes."""
        for lane in self._lanes:
            await lane.close()
        await self._tail.close()


def fact_of(entry_id: bytes, fields: dict[bytes, bytes]) -> Fact:
    """The fact of an entry of a journal."""
    seq, _, at_ms = entry_id.decode().partition("-")
    # Of our scripts a fact has one field; the audit names one that has more, as a type that nobody knows.
    kind = b"+".join(fields).decode(errors="replace")
    return Fact(int(seq), int(at_ms), kind, b"".join(fields.values()))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
