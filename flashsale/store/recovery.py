"""Putting a sale together anew, beside what the store has of it, and then in its place.

The new keys are made under names of their own (`SaleKeys.aside`), which go by themselves when nobody writes to them for a
while: a run that was killed leaves nothing for ever, and two runs do not meet. One transaction puts them all in place.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import WatchError

from flashsale.keys import SaleKeys
from flashsale.model.facts import Fact
from flashsale.model.payment import PaymentRecord, unpack_record
from flashsale.store.client import Store

LIFE_MS: Final = 600_000
"""How long keys that were put aside stay after the last write."""
_REPEAT_KEYS: Final = b"restock:"


@dataclass(frozen=True, slots=True)
class OldSale:
    """What matters of a sale as the store has it."""

    seq: int
    version: int
    restocks: dict[bytes, bytes]
    """What restocks with an Idempotency-Key have left: in no fact, so it is kept as far as it is there."""
    now_ms: int


class SaleMovedError(Exception):
    """The sale, or what was put aside for it, has changed meanwhile; nothing was put in place."""


class SaleRebuilder:
    """Builds one sale anew. Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store, sale: str) -> None:
        """`store` goes past the fence."""
        self._store = store
        self._live = SaleKeys.of(sale)
        self._new = SaleKeys.aside(sale, secrets.token_hex(6))
        self._sizes = dict.fromkeys(_PARTS, 0)

    async def old(self) -> OldSale:
        """The sale as it is."""
        async with self._store.guard() as redis:
            fields: Any = await redis.hgetall(self._live.sale)
            seconds, micros = await redis.time()
        return OldSale(
            seq=int(fields.get(b"seq", 0)),
            version=int(fields.get(b"version", 0)),
            restocks={name: value for name, value in fields.items() if name.startswith(_REPEAT_KEYS)},
            now_ms=int(seconds) * 1000 + int(micros) // 1000,
        )

    async def old_payments(self, tokens: Sequence[str]) -> list[PaymentRecord | None]:
        """Payment records as they are (1 to 1000 of them); one that cannot be read is none."""
        async with self._store.guard() as redis:
            found: Any = await redis.hmget(self._live.attempts, list(tokens))
        return [_readable(packed) for packed in found]

    async def add_facts(self, facts: Sequence[Fact]) -> None:
        """Appends facts to the new journal."""
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            for fact in facts:
                pipe.xadd(self._new.journal, {fact.type: fact.data}, id=f"{fact.seq}-{fact.at_ms}")
            pipe.pexpire(self._new.journal, LIFE_MS)
            await pipe.execute()
        self._sizes["journal"] += len(facts)

    async def add_fields(self, part: str, fields: Mapping[Any, bytes | str]) -> None:
        """Fields of one of the new hashes."""
        if fields:
            await self._write(part, "HSET", [each for pair in fields.items() for each in pair], len(fields))

    async def add_holds(self, ends_ms: Mapping[str, int]) -> None:
        """Holds and when they end."""
        if ends_ms:
            flat = [each for token, end in ends_ms.items() for each in (str(end), token)]
            await self._write("holds", "ZADD", flat, len(ends_ms))

    async def _write(self, part: str, command: str, args: Iterable[Any], count: int) -> None:
        key = getattr(self._new, part)
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            pipe.execute_command(command, key, *args)
            pipe.pexpire(key, LIFE_MS)
            await pipe.execute()
        self._sizes[part] += count

    async def swap(self, seq: int, jobs: Sequence[tuple[str, bytes]]) -> None:
        """Puts the new keys in the place of the old ones, and queues these jobs, all at once. The sale then goes on.

        `seq` is that of the last fact put in.

        Raises:
            SaleMovedError: the sale is not marked any more, or with more facts; or something put aside is not there.
        """
        async with self._store.guard() as redis, redis.pipeline(transaction=True) as pipe:
            try:
                await self._check(pipe, seq)
                pipe.multi()
                for part in _PARTS:
                    live, new = getattr(self._live, part), getattr(self._new, part)
                    pipe.unlink(live)
                    if self._sizes[part]:
                        pipe.rename(new, live)
                        pipe.persist(live)
                for kind, payload in jobs:
                    pipe.xadd(self._live.payments, {kind: payload})
                await pipe.execute()
            except WatchError as error:
                raise SaleMovedError("the sale has changed while it was put together") from error

    async def _check(self, pipe: Any, seq: int) -> None:
        await pipe.watch(self._live.sale, *(getattr(self._new, part) for part in _PARTS))
        mark = await pipe.hget(self._live.sale, "recovering")
        if mark is None:
            raise SaleMovedError("the sale does not wait for its recovery any more: somebody else was faster")
        if int(mark) > seq:
            raise SaleMovedError(f"the archive has {int(mark)} facts by now, and {seq} were put together")
        for part, count in _PARTS.items():
            there = await getattr(pipe, count)(getattr(self._new, part))
            if there != self._sizes[part]:
                raise SaleMovedError(f"of the {part} {there} of {self._sizes[part]} are there")

    async def drop(self) -> None:
        """Removes what was put aside and is not in its place."""
        async with self._store.guard() as redis:
            await redis.unlink(*(getattr(self._new, part) for part in _PARTS))


_PARTS: Final = {
    "sale": "hlen",
    "stock": "hlen",
    "customers": "hlen",
    "reservations": "hlen",
    "holds": "zcard",
    "journal": "xlen",
    "attempts": "hlen",
}
"""The keys that are replaced, and what counts their elements. The others stay: what is in them is done again harmlessly, and
the stream of orders goes on from where it ends."""


def _readable(packed: bytes | None) -> PaymentRecord | None:
    try:
        return unpack_record(packed) if packed else None
    except ValueError:
        return None
