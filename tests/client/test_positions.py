"""Where a consumer stands: what is kept and when, in a file that outlasts everything, or wherever it likes."""

import asyncio
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from flashsale.client import CursorStore, CursorStoreError, FileCursor, MemoryCursor, OrderFeed
from flashsale.model.cursor import Cursor
from tests.client.lying_shop import KEY, SALE, LyingShop, order, orders
from tests.process.programs import Program, eventually


class Noted:
    """A store of somebody's own, which notes what it is told."""

    def __init__(self, kept: str | None = None) -> None:
        self.kept = kept
        self.saved: list[int] = []

    async def load(self) -> str | None:
        return self.kept

    async def save(self, cursor: str) -> None:
        self.kept = cursor
        self.saved.append(Cursor.decode(cursor).of(SALE))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def feed_of(shop: LyingShop, cursor: Any, **options: Any) -> OrderFeed:
    return OrderFeed(shop.url, KEY, cursor=cursor, follow=False, **options)


async def test_an_order_is_done_when_the_next_one_is_wanted(shop: LyingShop) -> None:
    shop.events = orders(1, 3)
    noted = Noted()
    seen = [(each.sequence, list(noted.saved)) async for each in feed_of(shop, noted)]
    assert seen == [(1, []), (2, [1]), (3, [1, 2])]
    assert noted.saved == [1, 2, 3]


async def test_the_order_in_hand_comes_again(shop: LyingShop) -> None:
    shop.events = orders(1, 3)
    noted = Noted()
    async for each in feed_of(shop, noted):
        if each.sequence == 2:
            break
    assert [each.sequence async for each in feed_of(shop, noted)] == [2, 3]


async def test_one_that_is_acknowledged_does_not(shop: LyingShop) -> None:
    shop.events = orders(1, 3)
    noted = Noted()
    feed = feed_of(shop, noted)
    async for each in feed:
        await feed.ack(each)
        await feed.ack(each)
        if each.sequence == 2:
            break
    assert noted.saved == [1, 2]
    assert [each.sequence async for each in feed_of(shop, noted)] == [3]


async def test_kept_by_hand_only(shop: LyingShop) -> None:
    shop.events = orders(1, 5)
    noted = Noted()
    feed = feed_of(shop, noted, manual_ack=True, page_size=2)
    found = [each async for each in feed]
    assert noted.saved == []
    await feed.ack(found[3])
    await feed.ack(found[1])
    assert noted.saved == [4]


async def test_kept_now_and_then_and_before_waiting(shop: LyingShop) -> None:
    shop.events = orders(1, 8)
    noted = Noted()
    assert len([each async for each in feed_of(shop, noted, save_every=3)]) == 8
    assert noted.saved == [3, 6, 8]


async def test_pages_are_kept_whole(shop: LyingShop) -> None:
    shop.events = orders(1, 5)
    noted = Noted()
    seen = [(len(page), list(noted.saved)) async for page in feed_of(shop, noted, page_size=2).pages()]
    assert seen == [(2, []), (2, [2]), (1, [2, 4])]
    assert noted.saved == [2, 4, 5]


async def test_nothing_new_keeps_nothing(shop: LyingShop) -> None:
    noted = Noted(Cursor.at({SALE: 2}).encode())
    shop.events = orders(1, 2)
    assert [each async for each in feed_of(shop, noted)] == []
    assert noted.saved == []


async def test_a_position_that_cannot_be_kept_ends_the_feed(shop: LyingShop, tmp_path: Path) -> None:
    shop.events = orders(1, 3)
    feed = aiter(feed_of(shop, tmp_path / "nowhere" / "cursor"))
    assert (await anext(feed)).sequence == 1
    with pytest.raises(CursorStoreError, match="cannot be written: No such file or directory"):
        await anext(feed)


async def test_a_position_that_is_none_is_said(shop: LyingShop) -> None:
    with pytest.raises(CursorStoreError, match="cannot be used"):
        await anext(aiter(feed_of(shop, Noted("nonsense"))))


async def test_a_feed_begins_again_where_it_has_kept(shop: LyingShop, tmp_path: Path) -> None:
    shop.events = orders(1, 2)
    path = tmp_path / "orders.cursor"
    assert [each.sequence async for each in feed_of(shop, str(path))] == [1, 2]
    shop.events += [order(3), order(1, "levante")]
    assert [(each.sale, each.sequence) async for each in feed_of(shop, path)] == [(SALE, 3), ("levante", 1)]
    assert names_in(tmp_path) == ["orders.cursor"]


def test_the_stores_are_stores(tmp_path: Path) -> None:
    for store in (Noted(), MemoryCursor(), FileCursor(tmp_path)):
        assert isinstance(store, CursorStore)


async def test_a_file_is_kept_to_oneself(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    assert await FileCursor(path).load() is None
    await FileCursor(path).save("AQ")
    assert await FileCursor(path).load() == "AQ"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"AQ", b"AR"),
        lambda content: content.replace(b'"version":1', b'"version":2'),
        lambda content: b"[]",
        lambda content: b'{"cursor":null}',
        lambda content: b"\0" * 4096,
    ],
    ids=["empty", "half", "changed", "another version", "a list", "no cursor", "zeros"],
)
async def test_a_damaged_file_is_said(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "cursor"
    await FileCursor(path).save("AQ")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CursorStoreError, match="is damaged: put back a copy of it, or remove it"):
        await FileCursor(path).load()


async def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(CursorStoreError, match="cannot be read: Is a directory"):
        await FileCursor(tmp_path).load()


WRITER = """
import asyncio, sys
from flashsale.client import FileCursor
from flashsale.model.cursor import Cursor

async def main():
    store = FileCursor(sys.argv[1])
    kept = await store.load()
    number = Cursor.decode(kept).of("giulia") if kept else 0
    while True:
        number += 1
        await store.save(Cursor.at({"giulia": number}).encode())
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_kill_9_at_any_moment_leaves_the_old_position_or_the_new_one(tmp_path: Path) -> None:
    path, said = tmp_path / "kept" / "cursor", 0
    path.parent.mkdir()
    dice = random.Random(4)
    for _ in range(15):
        writer = Program(["-c", WRITER, str(path)], tmp_path)
        eventually(writer.out, "it writes")
        await asyncio.sleep(dice.uniform(0, 0.05))
        writer.end()
        said = int(writer.out().split()[-1]) if writer.out().endswith("\n") else said
        # Looked at as it was left, before the next writer tidies up.
        kept = Cursor.decode(await FileCursor(path).load() or "").of(SALE)
        assert said <= kept <= said + 2
        said = kept
    assert names_in(path.parent) == ["cursor"]
