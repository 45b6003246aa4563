"""The fence: who is let in to a store, and who is told to wait."""

import pytest

from flashsale.archive import Archive
from flashsale.engine.guard import Guard
from flashsale.keys import GUARD
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import Fence, run_id_of
from flashsale.store.guarding import GuardStore
from flashsale.store.lane import Lane
from tests.support.server import PATIENCE_MS, PATIENCE_S

STRANGER = "f" * 40


async def enters(url: str, fence: Fence) -> str:
    """Empty, or why not; by the pool and by a lane alike."""
    store = Store.connect(url, timeout_ms=PATIENCE_MS, fence=fence)
    lane = Lane(store.redis, timeout_s=PATIENCE_S)
    said = []
    try:
        for command in (lambda: store.call(store.redis.ping()), lambda: lane.command("PING")):
            try:
                await command()
                said.append("")
            except StoreUnavailableError as error:
                said.append(f"{type(error).__name__} {error.applied}: {error.reason}")
    finally:
        await lane.close()
        await store.close()
    assert len(set(said)) == 1, said
    return said[0].removeprefix("StoreRecoveringError False: ")


async def test_a_store_without_an_archive_is_open(valkey: str) -> None:
    assert not await enters(valkey, Fence.IF_GUARDED)
    assert not await enters(valkey, Fence.NONE)


async def test_who_knows_of_an_archive_waits_until_somebody_has_compared(valkey: str) -> None:
    assert "compared" in await enters(valkey, Fence.ALWAYS)


async def test_a_guarded_store_lets_in_once_it_was_compared(valkey: str, archive: Archive) -> None:
    async with GuardStore(valkey, timeout_ms=PATIENCE_MS) as store:
        await Guard(store, archive).verify()
    for fence in Fence:
        assert not await enters(valkey, fence)


async def test_a_store_that_has_started_again_lets_nobody_in_but_who_compares(
    valkey: str, store: Store
) -> None:
    await store.redis.hset(GUARD, "run_id", STRANGER)
    for fence in (Fence.IF_GUARDED, Fence.ALWAYS):
        assert "compared" in await enters(valkey, fence)
    assert not await enters(valkey, Fence.NONE)


async def test_what_it_waits_for_is_said(valkey: str, store: Store) -> None:
    await store.redis.hset(GUARD, mapping={"run_id": STRANGER, "waits": "the archive cannot be reached"})
    assert (await enters(valkey, Fence.IF_GUARDED)).endswith("the archive: the archive cannot be reached")


async def test_a_user_who_may_not_ask_for_the_run_id_is_told_so(valkey: str, store: Store) -> None:
    await store.redis.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "-info")
    try:
        address = valkey.partition("@")[2]
        limited = Store.connect(
            f"redis://limited:secret@{address}", timeout_ms=PATIENCE_MS, fence=Fence.IF_GUARDED
        )
        await limited.call(limited.redis.ping())  # nobody guards this store
        await limited.redis.connection_pool.disconnect()
        await store.redis.hset(GUARD, "run_id", STRANGER)
        with pytest.raises(StoreUnavailableError, match="does not allow our user INFO"):
            await limited.call(limited.redis.ping())
        await limited.close()
    finally:
        await store.redis.execute_command("ACL", "DELUSER", "limited")


def test_the_run_id_is_found_in_what_info_says() -> None:
    assert (
        run_id_of(b"# Server\r\nredis_version:7\r\nrun_id:%b\r\ntcp_port:1\r\n" % STRANGER.encode())
        == STRANGER
    )
    assert run_id_of("redis_version:7\r\n") is None
