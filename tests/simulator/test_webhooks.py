"""Webhooks of a simulator that runs: signed, in order, again until taken; or doubled, overtaken, late and lost."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from flashsale.process.ports import ReservedPort
from flashsale.providers.signature import HEADER, verify
from tests.support.simulator import Simulator, run_simulator
from tests.support.webhook_receiver import Receiver, receiver, url_at


def start(simulator: Simulator, key: str = "key", capture: str = "manual") -> dict[str, Any]:
    body = {"amount": 100, "currency": "EUR", "method": "card", "capture": capture}
    return dict(simulator.call("POST", "/v1/payments", body, key))


def pay(simulator: Simulator, key: str = "key") -> str:
    """Starts an automatic payment and pays it; its id."""
    payment = start(simulator, key, "automatic")
    assert simulator.pay(payment["url"])[0] == 200
    return str(payment["id"])


def payments_of(hooks: Receiver) -> list[str]:
    return [one.event["payment"]["id"] for one in hooks.received]


async def test_each_change_is_told_once_in_order_and_signed() -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url) as simulator:
            payment = start(simulator)
            simulator.pay(payment["url"], "decline")
            simulator.pay(payment["url"])
            simulator.call("POST", f"/v1/payments/{payment['id']}/capture")
            refund = {"payment": payment["id"], "amount": 100}
            simulator.call("POST", "/v1/refunds", refund, "refund")
            simulator.call("POST", f"/v1/payments/{start(simulator, 'other')['id']}/cancel")
            await hooks.until(lambda: len(hooks.received) >= 5)
            assert simulator.secret not in simulator.program.err()
    types = [one.type for one in hooks.received if one.event["payment"]["id"] == payment["id"]]
    assert types == ["payment.failed", "payment.authorised", "payment.paid", "refund.succeeded"]
    assert len({one.id for one in hooks.received}) == len(hooks.received) == 5
    for one in hooks.received:
        header = one.headers[HEADER]
        verify(header, simulator.secret.encode(), one.body, now_s=time.time(), tolerance_s=300)


@pytest.mark.parametrize("status", [500, 404, 307])
async def test_a_webhook_comes_again_until_it_is_taken(status: int) -> None:
    async with receiver() as hooks:
        hooks.status = status
        with run_simulator(webhook_url=hooks.url) as simulator:
            pay(simulator)
            await hooks.until(lambda: len(hooks.received) >= 3)
            hooks.status = 204
            await hooks.until(lambda: hooks.answered.count(204) == 1)
            other = pay(simulator, "other")
            await hooks.until(lambda: other in payments_of(hooks))
    assert len({one.body for one in hooks.received[:-1]}) == 1
    assert hooks.answered.count(204) == 2


async def test_a_receiver_that_is_away_is_waited_for() -> None:
    with ReservedPort() as away, run_simulator(webhook_url=url_at(away.port)) as simulator:
        payment = pay(simulator)
        async with receiver(away.port) as hooks:
            await hooks.until(lambda: payments_of(hooks) == [payment])


async def test_an_answer_without_end_holds_nobody_up() -> None:
    async with receiver() as hooks:
        hooks.status, hooks.endless = 200, True
        with run_simulator(webhook_url=hooks.url) as simulator:
            payment = start(simulator)
            simulator.pay(payment["url"])
            simulator.call("POST", f"/v1/payments/{payment['id']}/capture")
            await hooks.until(lambda: len(hooks.received) == 2)
    assert hooks.types == ["payment.authorised", "payment.paid"]


async def test_doubled_webhooks_are_the_same_twice() -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url, duplicate_percent=100) as simulator:
            pay(simulator)
            await hooks.until(lambda: len(hooks.received) == 2)
    assert hooks.received[0].body == hooks.received[1].body


async def test_an_overtaken_webhook_comes_after_a_later_one() -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url, reorder_percent=100, reorder_seconds=3600) as simulator:
            payment = start(simulator)
            simulator.pay(payment["url"])
            simulator.call("POST", f"/v1/payments/{payment['id']}/capture")
            await hooks.until(lambda: len(hooks.received) == 2)
    assert hooks.types == ["payment.paid", "payment.authorised"]


async def test_what_nothing_overtakes_is_sent_all_the_same() -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url, reorder_percent=100, reorder_seconds=0.01) as simulator:
            pay(simulator)
            await hooks.until(lambda: hooks.types == ["payment.paid"])


async def test_a_late_webhook_comes_late_and_a_lost_one_never(tmp_path: Path) -> None:
    async with receiver() as hooks:
        file = tmp_path / "books.jsonl"
        with run_simulator(
            webhook_url=hooks.url, delay_percent=100, delay_seconds=3600, file=file
        ) as simulator:
            late = pay(simulator, "late")
            simulator.set_faults(delay_percent=0, lose_percent=100)
            lost = pay(simulator, "lost")
            simulator.set_faults(lose_percent=0)
            at_once = pay(simulator, "at once")
            await hooks.until(lambda: at_once in payments_of(hooks))
            assert payments_of(hooks) == [at_once]
            # It still knows of the late one when it has been started anew, and has given up the lost one.
            simulator.stop()
            simulator.start_again(delay_percent=0)
            await hooks.until(lambda: late in payments_of(hooks))
            after = pay(simulator, "after")
            await hooks.until(lambda: after in payments_of(hooks))
            assert payments_of(hooks) == [at_once, late, after]
            assert {payment["id"] for payment in simulator.payments()} == {late, lost, at_once, after}


async def test_a_short_delay_ends() -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url, delay_percent=100, delay_seconds=0.05) as simulator:
            pay(simulator)
            await hooks.until(lambda: hooks.types == ["payment.paid"])


async def test_without_an_address_nothing_is_sent() -> None:
    with run_simulator() as simulator:
        pay(simulator)
        assert simulator.stop() == 0


async def test_it_is_killed_and_tells_again_what_nobody_has_taken(tmp_path: Path) -> None:
    async with receiver() as hooks:
        hooks.status = 503
        with run_simulator(webhook_url=hooks.url, file=tmp_path / "books.jsonl") as simulator:
            payment = pay(simulator)
            await hooks.until(lambda: len(hooks.received) > 0)
            simulator.kill()
            hooks.status = 204
            before = len(hooks.received)
            await asyncio.to_thread(simulator.start_again)
            await hooks.until(lambda: len(hooks.received) > before)
    assert set(payments_of(hooks)) == {payment}
    assert len({one.body for one in hooks.received}) == 1


@pytest.mark.parametrize("count", [200])
async def test_many_at_once_all_arrive(count: int) -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url, duplicate_percent=50, reorder_percent=20) as simulator:
            made = {pay(simulator, f"key {number}") for number in range(count)}
            await hooks.until(lambda: set(payments_of(hooks)) == made)
