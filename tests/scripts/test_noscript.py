"""A server that has forgotten the scripts is taught again, in the middle of a sale."""

from flashsale.model.outcomes import Confirm
from flashsale.model.payment import PaymentStatus
from flashsale.scripts import calls, payments
from flashsale.scripts.loader import load
from tests.support.sales import claim, definition
from tests.support.shop import Shop


async def test_every_call_survives_script_flush(shop: Shop) -> None:
    flush = shop.store.redis.script_flush
    await flush()
    await shop.open({"car": 9}, hold_seconds=10)
    await flush()
    held = await shop.hold("ann")
    await flush()
    other = await shop.hold("bob")
    await flush()
    await shop.extend(held.token, 5)
    await flush()
    await shop.cancel(held.token)
    await flush()
    await shop.restock("car", 1)
    await flush()
    await shop.set_state("pause")
    await flush()
    shop.clock.advance(10)
    assert (await shop.expire()).expired == 1
    await flush()
    (stored,) = (await shop.look(tokens=[other.token])).reservations
    assert stored is not None
    assert len(await shop.facts()) == (await shop.state()).seq == 9


async def test_every_call_about_payments_survives_script_flush(shop: Shop) -> None:
    flush = shop.store.redis.script_flush
    await shop.open({"car": 9})
    held = await shop.hold("ann")
    await flush()
    await shop.pay(held)
    await flush()
    await shop.dispatch()
    await flush()
    await shop.attempt(held.token, PaymentStatus.PROCESSING, "sim:1")
    await flush()
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED]
    await flush()
    await shop.refund(held.token)
    jobs = await shop.take_jobs()
    await flush()
    await shop.settle(held.token)
    await flush()
    await shop.defer(jobs[0], None)
    await flush()
    assert await shop.revive(jobs[0].entry_id) == 1
    await flush()
    assert (await payments.pace(shop.store.redis, "sim", rate=1, wanted=1))[0] == 1


async def test_a_batch_sent_to_a_forgetful_server_is_decided_once(shop: Shop) -> None:
    await shop.open({"car": 9})
    await shop.store.redis.script_flush()
    await shop.reserve(*[claim(f"c{n}") for n in range(5)])
    assert (await shop.state()).place == 5


async def test_a_ping_teaches_all_scripts(shop: Shop) -> None:
    await shop.store.redis.script_flush()
    await shop.store.ping()
    known = await shop.store.redis.script_exists(*[load(name).sha for name in calls.NAMES])
    assert known == [True] * len(calls.NAMES)
    await shop.define(definition({"car": 1}))
