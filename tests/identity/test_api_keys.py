"""API keys on a real server: made, recognised, refused, listed, revoked, and never stored in the clear."""

import hashlib
import json
import re

import pytest

from flashsale import keys
from flashsale.identity.api_keys import (
    CACHE_SECONDS,
    CACHE_SECONDS_UNKNOWN,
    MAX_CACHE_ENTRIES,
    ROOT,
    ApiKey,
    ApiKeys,
)
from flashsale.store.api_keys import MAX_KEYS, TooManyKeysError
from flashsale.store.client import Store, StoreUnavailableError

ROOT_KEY = "the-root-key-of-the-tests"


class Clock:
    """Seconds that grow when told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api_keys(store: Store, clock: Clock) -> ApiKeys:
    return ApiKeys(store, ROOT_KEY, clock)


async def commands(store: Store) -> int:
    """How many HGETs the server has carried out."""
    stats = await store.redis.info("commandstats")
    return int(stats.get("cmdstat_hget", {}).get("calls", 0))


async def test_a_key_is_recognised_with_its_scopes(api_keys: ApiKeys) -> None:
    made, secret = await api_keys.create("Order system, Torino", ["support", "orders"])
    assert re.fullmatch(r"fsk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", secret)
    assert await api_keys.authenticate(secret) == made
    assert made.scopes == {"orders", "support"}
    assert made.may("orders")
    assert not made.may("sales")
    assert not made.may_manage_keys
    public = made.public()
    assert public == {
        "id": secret[4:16],
        "name": "Order system, Torino",
        "scopes": ["orders", "support"],
        "created_at": public["created_at"],
    }
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(public["created_at"]))


async def test_the_root_key_has_every_scope_and_is_in_no_database(api_keys: ApiKeys, store: Store) -> None:
    root = await api_keys.authenticate(ROOT_KEY)
    assert root is ROOT
    assert all(root.may(scope) for scope in ("sales", "orders", "support"))
    assert not root.may("root")
    assert root.may_manage_keys
    assert await api_keys.list() == []
    assert await store.redis.dbsize() == 0


async def test_what_is_no_key_is_refused_without_asking_redis(api_keys: ApiKeys, store: Store) -> None:
    before = await commands(store)
    for secret in (
        "",
        "root",
        ROOT_KEY + "x",
        ROOT_KEY[:-1],
        "fsk_",
        "fsk_0123456789ab_",
        "x" * 10_000,
        "\udc80",
        "é",
    ):
        assert await api_keys.authenticate(secret) is None
    assert await commands(store) == before


async def test_only_the_whole_secret_opens(api_keys: ApiKeys) -> None:
    _, secret = await api_keys.create("a", ["sales"])
    other_last = "A" if secret[-1] != "A" else "B"
    other_id = "0" if secret[4] != "0" else "1"
    for forged in (
        secret[:-1] + other_last,
        secret[:4] + other_id + secret[5:],
        secret + "A",
        secret.upper(),
        f" {secret}",
    ):
        assert await api_keys.authenticate(forged) is None


async def test_the_secret_is_in_no_value_of_the_database(api_keys: ApiKeys, store: Store) -> None:
    made, secret = await api_keys.create("a", ["sales"])
    stored = await store.redis.hgetall(keys.API_KEYS)
    assert list(stored) == [made.id.encode()]
    assert json.loads(stored[made.id.encode()]) == {
        "name": "a",
        "scopes": ["sales"],
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "created_at_ms": made.created_at_ms,
    }
    assert secret not in repr(made)
    assert secret[17:] not in str(stored)


async def test_keys_are_listed_oldest_first(api_keys: ApiKeys) -> None:
    made = [(await api_keys.create(name, ["sales"]))[0] for name in ("c", "a", "b")]
    listed = await api_keys.list()
    assert sorted(listed, key=lambda key: key.id) == sorted(made, key=lambda key: key.id)
    assert [key.created_at_ms for key in listed] == sorted(key.created_at_ms for key in made)


async def test_a_revoked_key_is_refused_here_at_once(api_keys: ApiKeys) -> None:
    made, secret = await api_keys.create("a", ["sales"])
    assert await api_keys.authenticate(secret) == made
    assert await api_keys.revoke(made.id)
    assert await api_keys.authenticate(secret) is None
    assert not await api_keys.revoke(made.id)
    for unknown in ("root", "", "*", "\ud800", "0123456789ab\n"):
        assert not await api_keys.revoke(unknown)
    assert await api_keys.authenticate(ROOT_KEY) is ROOT


async def test_a_key_revoked_elsewhere_is_refused_in_time(
    api_keys: ApiKeys, store: Store, clock: Clock
) -> None:
    made, secret = await api_keys.create("a", ["sales"])
    assert await api_keys.authenticate(secret) == made
    await ApiKeys(store, ROOT_KEY).revoke(made.id)
    clock.now_s += CACHE_SECONDS - 0.001
    assert await api_keys.authenticate(secret) == made
    clock.now_s += 0.001
    assert await api_keys.authenticate(secret) is None


async def test_a_busy_client_costs_one_read(api_keys: ApiKeys, store: Store, clock: Clock) -> None:
    _, secret = await api_keys.create("a", ["sales"])
    unknown = secret[:17] + "A" * 43
    before = await commands(store)
    for _ in range(50):
        assert await api_keys.authenticate(secret) is not None
        assert await api_keys.authenticate(unknown) is None
    assert await commands(store) == before + 2
    clock.now_s += CACHE_SECONDS_UNKNOWN
    assert await api_keys.authenticate(secret) is not None
    assert await api_keys.authenticate(unknown) is None
    assert await commands(store) == before + 3


async def test_an_unknown_key_that_comes_to_be_is_accepted_soon(
    api_keys: ApiKeys, store: Store, clock: Clock
) -> None:
    made, secret = await api_keys.create("a", ["sales"])
    record = await store.redis.hget(keys.API_KEYS, made.id)
    await store.redis.delete(keys.API_KEYS)
    assert await api_keys.authenticate(secret) is None
    await store.redis.hset(keys.API_KEYS, made.id, record)
    assert await api_keys.authenticate(secret) is None
    clock.now_s += CACHE_SECONDS_UNKNOWN
    assert await api_keys.authenticate(secret) == made


async def test_what_is_remembered_is_bounded(api_keys: ApiKeys) -> None:
    made, secret = await api_keys.create("a", ["sales"])
    for number in range(MAX_CACHE_ENTRIES + 100):
        assert await api_keys.authenticate(f"fsk_{made.id}_{number:043d}") is None
    assert len(api_keys._unknown._entries) == MAX_CACHE_ENTRIES
    # A flood of unknown keys pushes out no known one.
    assert await api_keys.authenticate(secret) == made
    assert len(api_keys._known._entries) == 1


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("", ["sales"]),
        ("x" * 101, ["sales"]),
        ("a\n", ["sales"]),
        ("a", []),
        ("a", ["root"]),
        ("a", ["sales", "Orders"]),
    ],
    ids=["no name", "long name", "newline", "no scope", "unknown scope", "one unknown scope"],
)
async def test_keys_that_cannot_be(api_keys: ApiKeys, name: str, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="of an API key"):
        await api_keys.create(name, scopes)
    assert await api_keys.list() == []


async def test_there_is_a_limit(api_keys: ApiKeys, store: Store) -> None:
    await store.redis.hset(keys.API_KEYS, mapping={f"{n:012x}": "{}" for n in range(MAX_KEYS)})
    with pytest.raises(TooManyKeysError):
        await api_keys.create("a", ["sales"])


def test_an_empty_root_key_opens_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        ApiKeys(store, "")


async def test_without_redis_only_the_root_key_is_recognised() -> None:
    nowhere = Store.connect("redis://127.0.0.1:1", timeout_ms=500)
    try:
        api_keys = ApiKeys(nowhere, ROOT_KEY)
        assert await api_keys.authenticate(ROOT_KEY) is ROOT
        for call in (
            api_keys.authenticate("fsk_0123456789ab_" + "A" * 43),
            api_keys.create("a", ["sales"]),
            api_keys.list(),
            api_keys.revoke("0123456789ab"),
        ):
            with pytest.raises(StoreUnavailableError):
                await call
    finally:
        await nowhere.close()


def test_a_key_never_shows_more_than_it_is() -> None:
    assert set(ApiKey("1", "a", frozenset({"sales"}), 0).public()) == {"id", "name", "scopes", "created_at"}
