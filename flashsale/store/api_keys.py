"""API keys in Redis: the hash `fs:keys`, one JSON record a key, with the SHA-256 of its secret only."""

from dataclasses import dataclass
from typing import Final

import msgspec

from flashsale import keys
from flashsale.store.client import Store

MAX_KEYS: Final = 1000
"""API keys that may exist at once: one read of the hash lists them all."""


class TooManyKeysError(Exception):
    """There are `MAX_KEYS` already; one has to be revoked first."""


class KeyRecord(msgspec.Struct, frozen=True):
    """What is stored of one key, under its id."""

    name: str
    scopes: list[str]
    sha256: str
    """Hex digest of the whole key as its owner sends it."""
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A record with its id."""

    id: str
    record: KeyRecord


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(KeyRecord).decode


class ApiKeyStore:
    """The hash of API keys. Every call raises `StoreUnavailableError` when Redis cannot do its work."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def now_ms(self) -> int:
        """The clock of Redis, as milliseconds since the Unix epoch."""
        seconds, microseconds = await self._store.call(self._store.redis.time())
        return seconds * 1000 + microseconds // 1000

    async def add(self, key_id: str, record: KeyRecord) -> None:
        """Store a new key.

        Keys made at the same instant may pass the limit by a few: it bounds the hash, and need not be exact.
        Raises `TooManyKeysError`, and `ValueError` when the id is taken.
        """
        async with self._store.guard() as redis:
            if await redis.hlen(keys.API_KEYS) >= MAX_KEYS:
                raise TooManyKeysError
            if not await redis.hsetnx(keys.API_KEYS, key_id, _encode(record)):
                raise ValueError(f"there is an API key {key_id} already")

    async def get(self, key_id: str) -> KeyRecord | None:
        """The record of one key."""
        value = await self._store.call(self._store.redis.hget(keys.API_KEYS, key_id))
        return None if value is None else _decode(value)

    async def all(self) -> list[StoredKey]:
        """Every key, the oldest first."""
        found = await self._store.call(self._store.redis.hgetall(keys.API_KEYS))
        stored = [StoredKey(_text(key_id), _decode(value)) for key_id, value in found.items()]
        return sorted(stored, key=lambda one: (one.record.created_at_ms, one.id))

    async def remove(self, key_id: str) -> bool:
        """Forget a key. False when there is none of this id."""
        return bool(await self._store.call(self._store.redis.hdel(keys.API_KEYS, key_id)))
