"""The builds with a fault: each starts, and does what its name says, so that what a verdict makes of it means something."""

from pathlib import Path

import pytest

from flashsale.scripts import loader
from tests.loadtest import builds
from tests.loadtest.builds import Fault
from tests.loadtest.conftest import Serve
from tests.loadtest.scenes import (
    SALE,
    STOCK,
    counters,
    define,
    facts,
    findings,
    has_become,
    held,
    pay,
    rush,
    status,
)
from tests.process.programs import ROOT
from tests.support_http.client import Shop, eventually

SHORT = 10
"""Seconds of a hold that is to end, and not before everybody has pressed, however slow the machine is."""


def test_a_build_is_the_checkout_but_for_one_place(tmp_path: Path) -> None:
    built = builds.build(tmp_path / "build", builds.OVERSELLS)
    changed = [
        each.name
        for each in sorted((ROOT / "lua").glob("*.lua"))
        if loader.assemble(ROOT / "lua", each.stem) != loader.assemble(built / "lua", each.stem)
    ]
    assert changed == ["reserve.lua"]
    for module in ("api/reservations.py", "scripts/loader.py", "process/http_worker.py"):
        assert (built / "flashsale" / module).read_bytes() == (ROOT / "flashsale" / module).read_bytes()


def test_a_place_that_is_not_there_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 0 places to change"):
        builds.build(tmp_path / "none", Fault("no such text", "reserve.lua", "no such text", ""))
    with pytest.raises(ValueError, match=r"has \d+ places to change"):
        builds.build(tmp_path / "several", Fault("several", "reserve.lua", "local ", ""))


@pytest.mark.long
class TestBuilds:
    """Each on a server of its own, which a test takes some seconds to start."""

    async def test_without_a_fault(self, serve: Serve) -> None:
        async with Shop(serve(None).url) as shop:
            await define(shop, hold_seconds=SHORT)
            granted = held(await rush(shop, 7))
            assert len(granted) == STOCK
            (await shop.reserve(SALE, "c-0")).refused(409, "limit_reached")
            (await shop.cancel(granted[0]["id"], "c-0")).must(200)
            await has_become(shop, granted[-1], "expired")
            again = held(await rush(shop, 7, "d"))
            assert len(again) == STOCK
            await pay(shop, again[0])
            await has_become(shop, again[0], "confirmed")
            assert await findings(shop) == ""

    async def test_one_oversells_by_one(self, serve: Serve) -> None:
        async with Shop(serve(builds.OVERSELLS).url) as shop:
            await define(shop)
            assert len(held(await rush(shop, 7))) == STOCK + 1
            assert "oversold" in await findings(shop)

    async def test_one_oversells_and_its_counters_do_not_go_below_zero(self, serve: Serve) -> None:
        async with Shop(serve(builds.OVERSELLS_UNCOUNTED).url) as shop:
            await define(shop)
            assert len(held(await rush(shop, 7))) == STOCK + 1
            assert await counters(shop) == {"available": 0, "held": STOCK + 1, "sold": 0}

    @pytest.mark.parametrize(
        "fault", [builds.STRANDS, builds.STRANDS_CANCELLED], ids=lambda fault: fault.name
    )
    async def test_one_strands_the_unit_of_who_cancels(self, serve: Serve, fault: Fault) -> None:
        async with Shop(serve(fault).url) as shop:
            await define(shop)
            for reservation in held(await rush(shop, STOCK)):
                (await shop.cancel(reservation["id"], reservation["customer"])).must(200)
            assert await counters(shop) == {"available": STOCK - 1, "held": 0, "sold": 0}
            assert len(held(await rush(shop, 7, "d"))) == STOCK - 1
            assert "is not the stock" in await findings(shop)

    async def test_one_strands_the_unit_of_who_lets_it_expire(self, serve: Serve) -> None:
        async with Shop(serve(builds.STRANDS).url) as shop:
            await define(shop, hold_seconds=SHORT)
            granted = held(await rush(shop, STOCK))
            for reservation in granted:
                await has_become(shop, reservation, "expired")
            assert len(held(await rush(shop, 7, "d"))) == STOCK - 1

    async def test_one_keeps_a_hold_for_ever_and_its_counters_add_up(self, serve: Serve) -> None:
        async with Shop(serve(builds.STRANDS_HELD).url) as shop:
            await define(shop, hold_seconds=SHORT)
            for reservation in held(await rush(shop, STOCK)):
                await has_become(shop, reservation, "expired")

            async def swept() -> bool:
                return await counters(shop) == {"available": STOCK - 1, "held": 1, "sold": 0}

            await eventually(swept, "the sweeper has been there")
            assert len(held(await rush(shop, 7, "d"))) == STOCK - 1
            ended = [fact for fact in await facts(shop) if fact["type"].endswith("reservation.expired.v1")]
            assert len(ended) == STOCK - 1

    async def test_one_lets_a_customer_have_two(self, serve: Serve) -> None:
        async with Shop(serve(builds.LETS_HAVE_TWO).url) as shop:
            await define(shop)
            answers = [await shop.reserve(SALE, "greedy") for _ in range(3)]
            assert [answer.status for answer in answers] == [201, 201, 409]
            assert "limit" in await findings(shop)

    async def test_one_skips_a_number_among_the_orders(self, serve: Serve) -> None:
        async with Shop(serve(builds.SKIPS_A_NUMBER).url) as shop:
            await define(shop)
            granted = held(await rush(shop, STOCK))
            for reservation in granted:
                await pay(shop, reservation)
                await has_become(shop, reservation, "confirmed")
            numbers = [int(fact["sequence"]) for fact in await facts(shop) if "sequence" in fact]
            assert numbers == [1, 2, 4, 5]

    async def test_one_skips_a_number_among_the_facts(self, serve: Serve) -> None:
        async with Shop(serve(builds.SKIPS_A_FACT).url) as shop:
            await define(shop)
            assert len(held(await rush(shop, STOCK))) == STOCK
            numbers = [int(fact["factseq"]) for fact in await facts(shop)]
            assert numbers == [1, 2, 3, 4, 5, 7]

    async def test_one_loses_a_charge(self, serve: Serve) -> None:
        async with Shop(serve(builds.LOSES_A_CHARGE).url) as shop:
            await define(shop, hold_seconds=SHORT)
            lost, kept = held(await rush(shop, 2))
            await pay(shop, lost)
            await has_become(shop, lost, "expired")
            (other,) = held([await shop.reserve(SALE, "later")])
            await pay(shop, other)
            await has_become(shop, other, "confirmed")
            assert await status(shop, kept) == "expired"
            told = [
                fact["data"].get("reservation") for fact in await facts(shop) if "payment" in fact["data"]
            ]
            assert told == [other["id"]]
