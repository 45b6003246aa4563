"""The adapter of the simulator, against a simulator that runs: nothing twice, whatever goes wrong on the way."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from flashsale.model.payment import PaymentStatus
from flashsale.providers import configured
from flashsale.providers.protocol import (
    Capture,
    PaymentOrder,
    PaymentState,
    Provider,
    ProviderError,
    SignatureError,
)
from flashsale.providers.signature import HEADER, signature
from flashsale.providers.simulator import PAGE_PAYMENTS, from_settings
from flashsale.settings import Settings, load_settings
from tests.support.simulator import Simulator, run_simulator
from tests.support.webhook_receiver import receiver

CARD = PaymentOrder(
    "flashsale", "giulia-milano.0.token", 1, "c-17", "Giulia Milano", "card", 3_300_000, "CNY"
)


def settings_of(simulator: Simulator) -> Settings:
    return load_settings(simulator.env)


def adapter(url: str = "http://127.0.0.1:1", secret: str = "a-secret-of-a-test") -> Provider:
    made = from_settings(
        load_settings({"FLASHSALE_SIMULATOR_URL": url, "FLASHSALE_SIMULATOR_SECRET": secret})
    )
    assert made is not None
    return made


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with run_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """One without faults, whatever a test has told it."""
    yield running
    running.set_faults(outage_percent=0, timeout_percent=0, refund_fail_percent=0, refund_bounce_percent=0)


@pytest.fixture
async def provider(simulator: Simulator) -> AsyncIterator[Provider]:
    made = from_settings(settings_of(simulator))
    assert made is not None
    yield made
    await made.close()


def order(name: str, **changes: Any) -> PaymentOrder:
    return replace(CARD, reservation=f"giulia-milano.0.{name}", **changes)


async def paid(provider: Provider, simulator: Simulator, name: str) -> str:
    """A transfer that was made; its id."""
    started = await provider.start(order(name, method="bank_transfer"))
    assert started.action is not None
    assert simulator.pay(started.action["url"])[0] == 200
    return started.id


def test_without_an_address_there_is_none() -> None:
    assert from_settings(load_settings({})) is None
    assert configured(load_settings({})) == {}


async def test_the_registry_knows_it(simulator: Simulator) -> None:
    found = configured(settings_of(simulator))
    assert [provider.name for provider in found.values()] == list(found) == ["simulator"]
    for provider in found.values():
        await provider.close()


def test_both_ways_to_take_money_occur() -> None:
    ways = {method: adapter().capture_of(method) for method in ("card", "paypal", "klarna")}
    assert set(ways.values()) == {Capture.MANUAL}
    assert {adapter().capture_of(method) for method in ("bank_transfer", "alipay")} == {Capture.AUTOMATIC}


async def test_one_order_starts_one_payment(provider: Provider, simulator: Simulator) -> None:
    before = len(simulator.payments())
    started = await asyncio.gather(*(provider.start(order("once")) for _ in range(5)))
    assert len({one.id for one in started}) == 1
    assert len(simulator.payments()) == before + 1
    assert started[0].status is PaymentStatus.REQUIRES_ACTION
    assert started[0].action is not None
    assert started[0].action["type"] == "redirect"
    assert (await provider.start(order("once", attempt=2))).id != started[0].id
    with pytest.raises(ProviderError) as error:
        await provider.start(order("once", amount=1))
    assert not error.value.retry


async def test_a_card_is_authorised_and_captured(provider: Provider, simulator: Simulator) -> None:
    started = await provider.start(order("captured"))
    assert started.action is not None
    simulator.pay(started.action["url"], "decline")
    found = await provider.find(started.id)
    assert found is not None
    assert (found.state, bool(found.error), found.final) == (PaymentState.FAILED, True, False)
    assert (await provider.start(order("captured"))).status is PaymentStatus.REQUIRES_ACTION
    with pytest.raises(ProviderError) as error:
        await provider.capture(started.id)
    assert not error.value.retry
    simulator.pay(started.action["url"])
    again = await provider.start(order("captured"))
    assert (again.id, again.status, again.action) == (started.id, PaymentStatus.PROCESSING, None)
    authorised = await provider.find(started.id)
    assert authorised is not None
    assert authorised.state is PaymentState.AUTHORISED
    taken = await provider.capture(started.id)
    assert taken.state is PaymentState.PAID
    assert await provider.capture(started.id) == taken
    assert (taken.amount, taken.currency, taken.method) == (3_300_000, "CNY", "card")
    assert (taken.shop, taken.reservation, taken.attempt) == ("flashsale", "giulia-milano.0.captured", 1)
    assert taken.created_ms > 1_700_000_000_000


async def test_a_cancelled_payment_takes_nothing_and_a_paid_one_says_so(
    provider: Provider, simulator: Simulator
) -> None:
    started = await provider.start(order("cancelled"))
    assert started.action is not None
    assert (await provider.cancel(started.id)).state is PaymentState.CANCELLED
    assert (await provider.cancel(started.id)).state is PaymentState.CANCELLED
    assert simulator.pay(started.action["url"])[0] == 409
    with pytest.raises(ProviderError) as error:
        await provider.start(order("cancelled"))
    assert not error.value.retry
    payment = await paid(provider, simulator, "too late")
    assert (await provider.cancel(payment)).state is PaymentState.PAID


async def test_a_refused_payment_is_final(provider: Provider, simulator: Simulator) -> None:
    started = await provider.start(order("refused"))
    assert started.action is not None
    simulator.pay(started.action["url"], "refuse")
    found = await provider.find(started.id)
    assert found is not None
    assert found.final
    with pytest.raises(ProviderError, match="refused") as error:
        await provider.start(order("refused"))
    assert not error.value.retry


async def test_two_refunds_are_one(provider: Provider, simulator: Simulator) -> None:
    payment = await paid(provider, simulator, "refunded")
    refunds = await asyncio.gather(*(provider.refund(payment, 3_300_000) for _ in range(5)))
    assert len(set(refunds)) == 1
    assert await provider.refund(payment, 3_300_000) == refunds[0]
    found = await provider.find(payment)
    assert found is not None
    assert (found.state, found.refunded) == (PaymentState.PAID, 3_300_000)
    unpaid = await provider.start(order("unpaid"))
    with pytest.raises(ProviderError) as error:
        await provider.refund(unpaid.id, 100)
    assert not error.value.retry
    with pytest.raises(ProviderError) as error:
        await provider.refund("pay_nobody", 100)
    assert not error.value.retry


async def test_a_refund_that_fails_is_worth_another_try(provider: Provider, simulator: Simulator) -> None:
    payment = await paid(provider, simulator, "failing refund")
    simulator.set_faults(refund_fail_percent=100)
    for _ in range(2):
        with pytest.raises(ProviderError) as error:
            await provider.refund(payment, 3_300_000)
        assert error.value.retry
    assert await provider.refund(payment, 3_300_000)


async def test_a_refund_that_bounces_is_made_anew(provider: Provider, simulator: Simulator) -> None:
    payment = await paid(provider, simulator, "bouncing refund")
    simulator.set_faults(refund_bounce_percent=100)
    first = await provider.refund(payment, 3_300_000)
    found = await provider.find(payment)
    assert found is not None
    assert found.refunded == 0
    assert await provider.refund(payment, 3_300_000) != first
    found = await provider.find(payment)
    assert found is not None
    assert found.refunded == 3_300_000


async def test_what_nobody_knows_is_not_found(provider: Provider) -> None:
    assert await provider.find("pay_nobody") is None
    assert await provider.find("../faults") is None
    for call in (provider.capture, provider.cancel):
        with pytest.raises(ProviderError) as error:
            await call("pay_nobody")
        assert not error.value.retry


async def test_the_list_has_every_payment_once() -> None:
    with run_simulator() as own:
        provider = adapter(own.url, own.secret)
        count = PAGE_PAYMENTS + 7
        made = [await provider.start(order(f"listed {number}")) for number in range(count)]
        listed = [payment async for payment in provider.payments()]
        assert [payment.id for payment in listed] == [one.id for one in made]
        late = listed[-3].created_ms
        since = [payment.id async for payment in provider.payments(since_ms=late)]
        assert since == [payment.id for payment in listed if payment.created_ms >= late]
        assert [payment async for payment in provider.payments(since_ms=late + 10**9)] == []
        await provider.close()


async def test_a_payment_of_nobody_is_listed_without_a_shop(simulator: Simulator, provider: Provider) -> None:
    body = {"amount": 1, "currency": "EUR", "method": "card", "metadata": {"attempt": "first"}}
    made = simulator.call("POST", "/v1/payments", body, "of nobody")
    found = await provider.find(made["id"])
    assert found is not None
    assert (found.shop, found.reservation, found.attempt) == ("", "", 0)


async def test_outages_and_timeouts_are_worth_another_try(provider: Provider, simulator: Simulator) -> None:
    started = await provider.start(order("outage"))
    for faults in ({"outage_percent": 100}, {"timeout_percent": 100}):
        simulator.set_faults(**faults)
        for call in (provider.find, provider.cancel, provider.capture):
            with pytest.raises(ProviderError) as error:
                await call(started.id)
            # A capture of what is not authorised is refused all the same, where it is heard.
            assert error.value.retry or call == provider.capture
        with pytest.raises(ProviderError) as error:
            await provider.start(order("outage"))
        assert error.value.retry
        with pytest.raises(ProviderError) as error:
            _ = [payment async for payment in provider.payments()]
        assert error.value.retry
        simulator.set_faults(outage_percent=0, timeout_percent=0)


async def test_a_start_that_was_not_heard_of_is_found_again(provider: Provider, simulator: Simulator) -> None:
    simulator.set_faults(timeout_percent=100)
    with pytest.raises(ProviderError):
        await provider.start(order("unheard"))
    simulator.set_faults(timeout_percent=0)
    made = [one for one in simulator.payments() if one["metadata"].get("reservation", "").endswith("unheard")]
    assert len(made) == 1
    assert (await provider.start(order("unheard"))).id == made[0]["id"]


async def test_nobody_there_and_a_wrong_secret_are_worth_another_try(simulator: Simulator) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody can be there
        bound.bind(("127.0.0.1", 0))
        for provider in (adapter(f"http://127.0.0.1:{bound.getsockname()[1]}"), adapter(simulator.url)):
            with pytest.raises(ProviderError) as error:
                await provider.find("pay_nobody")
            assert error.value.retry
            assert "a-secret-of-a-test" not in str(error.value)
            await provider.close()


async def test_an_answer_that_is_none_of_the_simulators_is_worth_another_try() -> None:
    async with receiver() as hooks:
        hooks.status = 200
        provider = adapter(hooks.url.removesuffix("/v1/payments/simulator/events"))
        for call in (provider.start(order("nonsense")), provider.find("pay_1"), provider.refund("pay_1", 1)):
            with pytest.raises(ProviderError) as error:
                await call
            assert error.value.retry
        await provider.close()


async def test_webhooks_are_read_and_verified() -> None:
    async with receiver() as hooks:
        with run_simulator(webhook_url=hooks.url, refund_bounce_percent=100) as own:
            provider = adapter(own.url, own.secret)
            payment = await paid(provider, own, "told")
            await provider.refund(payment, 3_300_000)
            await hooks.until(lambda: len(hooks.received) == 3)
            events = [provider.read_event(one.headers, one.body) for one in hooks.received]
            assert [event.id for event in events if event is not None] == [one.id for one in hooks.received]
            told = [(e.payment.state, e.payment.refunded, e.refund_failed) for e in events if e is not None]
            assert told == [
                (PaymentState.PAID, 0, False),
                (PaymentState.PAID, 3_300_000, False),
                (PaymentState.PAID, 0, True),
            ]
            one = hooks.received[0]
            for headers, body in (
                ({}, one.body),
                (one.headers, one.body + b" "),
                (one.headers, hooks.received[1].body),
            ):
                with pytest.raises(SignatureError):
                    provider.read_event(headers, body)
            with pytest.raises(SignatureError):
                adapter(own.url, "another-secret").read_event(one.headers, one.body)
            await provider.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"id":"e","type":"payment.paid","payment":{}}'])
def test_what_is_signed_and_no_event_is_refused(body: bytes) -> None:
    headers = {HEADER: signature(b"a-secret-of-a-test", int(time.time()), body)}
    with pytest.raises(SignatureError):
        adapter().read_event(headers, body)


def test_an_event_about_no_payment_is_none_of_ours() -> None:
    body = b'{"id":"evt_1","type":"account.updated"}'
    headers = {HEADER: signature(b"a-secret-of-a-test", int(time.time()), body)}
    assert adapter().read_event(headers, body) is None


def test_an_old_event_is_refused() -> None:
    body = b'{"id":"evt_1","type":"account.updated"}'
    headers = {HEADER: signature(b"a-secret-of-a-test", int(time.time()) - 3600, body)}
    with pytest.raises(SignatureError, match="old"):
        adapter().read_event(headers, body)
