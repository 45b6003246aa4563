"""The crowd: who is in it, and that it is gone when the demo is."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flashsale.client import Client
from flashsale.demo.crowd import CLOCK_SAMPLES_MAX, set_clock
from flashsale.demo.messages import Clock, Opening, Plan, Ready, Shares, decode_from_crowd, encode
from flashsale.demo.rush import kind_of
from flashsale.demo.shoppers import Member, gather
from flashsale.demo.wire import Pool
from flashsale.identity.tokens import ShopperTokens
from tests.demo.lying_server import LyingServer, serving

SECRET = "a secret of a test, long enough to sign with"


def plan(**fields: Any) -> Plan:
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 1,
        "sale": "s",
        "shoppers": 500,
        "connections": 5,
        "seed": 3,
    }
    known |= {"methods": ["card", "alipay"], "hold_seconds": 10}
    return Plan(**(known | {"stock": {"left": 30, "right": 10}} | fields))


def test_a_seed_makes_one_crowd() -> None:
    tokens = ShopperTokens(SECRET, None)
    one, same, other = (gather(plan(seed=seed), tokens) for seed in (3, 3, 4))

    def manners(crowd: list[Member]) -> list[Any]:
        return [
            (member.customer, member.sku, member.early_ms, member.double_ms, member.habit) for member in crowd
        ]

    assert manners(one) == manners(same)
    assert manners(one) != manners(other)


def test_everybody_is_somebody_else_with_a_token_of_their_own() -> None:
    tokens = ShopperTokens(SECRET, None)
    crowd = gather(plan(), tokens)
    headers = [dict(line.split(": ", 1) for line in head(member.request)) for member in crowd]
    assert len({member.customer for member in crowd}) == 500
    assert len({header["Idempotency-Key"] for header in headers}) == 500
    bearers = [tokens.verify(header["Authorization"].removeprefix("Bearer ")) for header in headers]
    assert bearers == [member.customer for member in crowd]


def head(request: bytes) -> list[str]:
    return request.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]


def test_manners_and_wishes_are_shared_out() -> None:
    crowd = gather(plan(), ShopperTokens(SECRET, None))
    assert 0 < sum(member.early_ms > 0 for member in crowd) < 100
    assert 0 < sum(member.double_ms > 0 for member in crowd) < 150
    assert {member.sku for member in crowd} == {"left", "right"}
    nobody = gather(plan(early_share=0.0, double_share=0.0), ShopperTokens(SECRET, None))
    assert not any(member.early_ms or member.double_ms for member in nobody)


def test_habits_are_shared_out() -> None:
    tokens = ShopperTokens(SECRET, None)
    habits = [member.habit for member in gather(plan(shoppers=2000), tokens)]
    assert {habit.intent for habit in habits} == {"pay", "decline", "walk_away", "late"}
    assert {habit.methods for habit in habits} == {("card", "alipay"), ("alipay", "card")}
    assert all(3.0 <= habit.thinks_s <= 5.0 for habit in habits), (
        "nobody pays before all is held, or too late"
    )
    shares = Shares(decline=0, walk_away=0, late=0, come_back=0)
    honest = [member.habit for member in gather(plan(shoppers=2000, shares=shares), tokens)]
    assert {habit.intent for habit in honest} == {"pay"}
    assert not any(habit.comes_back for habit in honest)
    assert [one.thinks_s for one in honest] == [one.thinks_s for one in habits], "shares change nothing else"
    everybody = [member.habit for member in gather(plan(shares=Shares(decline=50, late=50)), tokens)]
    assert "pay" not in {habit.intent for habit in everybody}


def test_with_one_method_a_shopper_tries_it_again() -> None:
    crowd = gather(plan(methods=["card"]), ShopperTokens(SECRET, None))
    assert {member.habit.methods for member in crowd} == {("card", "card")}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (201, "", "sale"),
        (200, "", "replay"),
        (409, "sold_out", "sold_out"),
        (409, "not_open", "not_open"),
        (409, "limit_reached", "error"),
        (410, "closed", "error"),
        (503, "busy", "busy"),
        (503, "unavailable", "busy"),
        (500, "", "error"),
        (0, "", "cut"),
    ],
)
def test_kinds_of_answers(status: int, code: str, kind: str) -> None:
    assert kind_of(status, code) == kind


def wall_less_monotonic() -> float:
    """How far the two clocks are apart, from the pair of readings that was interrupted the least."""
    readings = [(time.monotonic(), time.time(), time.monotonic()) for _ in range(1000)]
    before, wall, _ = min(readings, key=lambda reading: reading[2] - reading[0])
    return wall - before


async def test_t0_is_never_before_the_opening_and_hardly_after_it() -> None:
    opens_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    opens_at_ms = round(opens_at.timestamp() * 1000)
    async with serving(LyingServer()) as url, Client(url) as client:
        await client.put_sale("s", {"opens_at": opens_at.isoformat(), "items": [{"sku": "left", "stock": 1}]})
        here = plan(port=int(url.rpartition(":")[2]))
        pool = Pool(here.host, here.port, 1, 30.0)
        await pool.open()
        t0, clock = await set_clock(here, pool, opens_at_ms)
        pool.close()
    late_ms = (t0 + wall_less_monotonic()) * 1000 - opens_at_ms
    # The server's clock is this machine's; half a millisecond is for what sets the clock meanwhile.
    assert -0.5 <= late_ms <= clock.late_ms + 0.5
    assert clock.samples == CLOCK_SAMPLES_MAX


async def crowd(secret: str = SECRET) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flashsale.demo.crowd"),
        env={"FLASHSALE_SHOPPER_SECRET": secret},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("waiting_for_t0", [False, True])
async def test_a_crowd_whose_demo_is_gone_goes_home(waiting_for_t0: bool) -> None:
    async with serving(LyingServer()) as url:
        process = await crowd()
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(encode(plan(port=int(url.rpartition(":")[2]), shoppers=5, connections=2)))
        ready = decode_from_crowd(await process.stdout.readline())
        assert isinstance(ready, Ready)
        assert (ready.shoppers, ready.connections) == (5, 2)
        if waiting_for_t0:
            opens_at = datetime.now(UTC) + timedelta(hours=1)
            definition = {"opens_at": opens_at.isoformat(), "items": [{"sku": "left", "stock": 1}]}
            async with Client(url) as client:
                await client.put_sale("s", definition)
            process.stdin.write(encode(Opening(round(opens_at.timestamp() * 1000))))
            assert isinstance(decode_from_crowd(await process.stdout.readline()), Clock)
        process.stdin.close()
        said = await process.stderr.read()
        await process.wait()
    assert process.returncode == 1
    assert said == b"crowd: EOFError: the demo that started this crowd is gone\n"


async def test_a_crowd_that_reaches_nobody_says_so() -> None:
    process = await crowd()
    _, said = await process.communicate(encode(plan(shoppers=2, connections=1)))
    assert process.returncode == 1
    assert b"crowd: " in said
    assert b"Traceback" not in said
