"""API keys of brands and order systems: made, recognised, listed and revoked.

A key is `fsk_<id>_<random>`: the id is its public name, the random part 256 bits. Redis holds its SHA-256
only, so whoever reads the database cannot use it; that much randomness needs no slow hash. The root key comes
from the settings, is in no database and has every scope; it alone makes, lists and revokes keys.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from flashsale.model import instants
from flashsale.store.api_keys import ApiKeyStore, KeyRecord, StoredKey
from flashsale.store.client import Store

SCOPES: Final = ("sales", "orders", "support")
"""`sales` defines and runs sales, `orders` reads confirmed reservations, `support` acts for customers."""

MAX_NAME_CHARACTERS: Final = 100
CACHE_SECONDS: Final = 5.0
"""How long a key that was revoked elsewhere may still be accepted."""
CACHE_SECONDS_UNKNOWN: Final = 0.5
"""How long a key that is unknown here may still be refused after it was made elsewhere."""
MAX_CACHE_ENTRIES: Final = 1024

_ID: Final = re.compile(r"[0-9a-f]{12}")
_SECRET: Final = re.compile(rf"fsk_({_ID.pattern})_[A-Za-z0-9_-]{{43}}")
_ID_BYTES: Final = 6
_RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who is calling with an API key, and what it may do. It never holds the secret."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at_ms: int
    is_root: bool = False

    def may(self, scope: str) -> bool:
        """Whether the key has this scope."""
        return scope in self.scopes

    @property
    def may_manage_keys(self) -> bool:
        """Whether the key makes, lists and revokes others, and so could give itself any scope."""
        return self.is_root

    def public(self) -> dict[str, object]:
        """The key as the API shows it: `id`, `name`, `scopes` in the order of `SCOPES`, `created_at`."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            "created_at": instants.to_rfc3339(self.created_at_ms),
        }


ROOT: Final = ApiKey(id="root", name="root", scopes=frozenset(SCOPES), created_at_ms=0, is_root=True)


class ApiKeys:
    """The API keys in one store, and the root key beside them.

    Recognised keys are remembered for `CACHE_SECONDS`, unknown ones for `CACHE_SECONDS_UNKNOWN`, so a busy
    client costs one read every few seconds. Every method that asks Redis raises `StoreUnavailableError` when
    it cannot. `clock` gives seconds that only grow.
    """

    def __init__(self, store: Store, root_key: str, clock: Callable[[], float] = time.monotonic) -> None:
        if not root_key:
            raise ValueError("the root key must not be empty")
        self._keys = ApiKeyStore(store)
        self._root_digest = _digest(root_key)
        self._clock = clock
        self._known = _Recent(CACHE_SECONDS)
        self._unknown = _Recent(CACHE_SECONDS_UNKNOWN)

    async def create(self, name: str, scopes: Collection[str]) -> tuple[ApiKey, str]:
        """Make a key. Answers it with its secret, which is shown this once and stored nowhere.

        Raises `ValueError` for a name or scopes that cannot be, and `TooManyKeysError`.
        """
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            raise ValueError(f"the name of an API key has 1 to {MAX_NAME_CHARACTERS} printable characters")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise ValueError(f"the scopes of an API key are one or more of {', '.join(SCOPES)}")
        key_id = secrets.token_hex(_ID_BYTES)
        secret = f"fsk_{key_id}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        record = KeyRecord(
            name=name,
            scopes=[scope for scope in SCOPES if scope in scopes],
            sha256=_digest(secret).hex(),
            created_at_ms=await self._keys.now_ms(),
        )
        await self._keys.add(key_id, record)
        return _api_key(StoredKey(key_id, record)), secret

    async def authenticate(self, secret: str) -> ApiKey | None:
        """The key that `secret` is, or None when it is none."""
        digest = _digest(secret)
        if hmac.compare_digest(digest, self._root_digest):
            return ROOT
        shape = _SECRET.fullmatch(secret)
        if shape is None:
            return None
        now_s = self._clock()
        found, key = self._known.get(digest, now_s)
        if found or self._unknown.get(digest, now_s)[0]:
            return key
        record = await self._keys.get(shape[1])
        if record is None or not hmac.compare_digest(digest.hex(), record.sha256):
            self._unknown.put(digest, None, self._clock())
            return None
        key = _api_key(StoredKey(shape[1], record))
        self._known.put(digest, key, self._clock())
        return key

    async def list(self) -> list[ApiKey]:
        """Every key but the root key, the oldest first."""
        return [_api_key(stored) for stored in await self._keys.all()]

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key: at once here, within `CACHE_SECONDS` in other processes. False when there is none."""
        if not _ID.fullmatch(key_id):
            return False
        removed = await self._keys.remove(key_id)
        self._known.clear()
        return removed


class _Recent:
    """What was found out about digests of late; the oldest of them makes room when there are too many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: dict[bytes, tuple[float, ApiKey | None]] = {}

    def get(self, digest: bytes, now_s: float) -> tuple[bool, ApiKey | None]:
        """Whether it is remembered, and as what."""
        entry = self._entries.get(digest)
        if entry is None:
            return False, None
        until_s, key = entry
        if until_s > now_s:
            return True, key
        del self._entries[digest]
        return False, None

    def put(self, digest: bytes, key: ApiKey | None, now_s: float) -> None:
        self._entries.pop(digest, None)
        if len(self._entries) >= MAX_CACHE_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[digest] = (now_s + self._seconds, key)

    def clear(self) -> None:
        self._entries.clear()


def _digest(secret: str) -> bytes:
    """SHA-256 of a secret, also of one with lone surrogates: header bytes that were no UTF-8."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _api_key(stored: StoredKey) -> ApiKey:
    record = stored.record
    return ApiKey(stored.id, record.name, frozenset(record.scopes), record.created_at_ms)
