"""`flashsale recover`: what was lost is there again, key by key, and the sale goes on from there."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from flashsale.archive import Archive
from flashsale.engine.audit import Audit
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.guard import Guard
from flashsale.engine.publisher import Publisher
from flashsale.engine.recovery import Recovered, Recovery, RecoveryError
from flashsale.keys import STRAY, SaleKeys
from flashsale.model.outcomes import Confirm, OpenSale, Pay, Restock
from flashsale.model.payment import Fate, PaymentStatus, unpack_record
from flashsale.model.rebuild import UNKNOWN
from flashsale.store.guarding import GuardStore
from flashsale.store.orders import OrderStore
from flashsale.store.recovery import LIFE_MS, SaleRebuilder
from flashsale.store.sales import SaleStore
from tests.recovery.archived import Archived, put_back, save
from tests.recovery.histories import History
from tests.support.sales import SALE, Clock, definition
from tests.support.server import PATIENCE_MS, PATIENCE_S, plain
from tests.support.shop import Shop, Snapshot

BOOK = ("stock", "customers", "reservations", "holds", "journal")


async def recover(store: GuardStore, archive: Archive, sale: str = SALE) -> Recovered:
    return await Recovery(store, archive, sale).run()


def check_same(lost: Snapshot, found: Snapshot) -> None:
    """Key by key; of payments that which the facts tell."""
    for part in BOOK:
        assert found[part] == lost[part], part
    version, before = found["sale"].pop(b"version", b"0"), lost["sale"].pop(b"version", b"0")
    assert found["sale"] == lost["sale"]
    assert int(version) != int(before), "nobody takes what he remembers for what is there now"
    lost_payments = {token: unpack_record(packed) for token, packed in lost["attempts"].items()}
    payments = {token: unpack_record(packed) for token, packed in found["attempts"].items()}
    for token, record in lost_payments.items():
        if not record.charges:
            continue
        assert payments[token].charges == record.charges
        if record.status >= PaymentStatus.PAID:
            assert payments[token].status is record.status
        if record.status is PaymentStatus.PAID:
            now = payments[token]
            assert (now.method, now.money, now.reference) == (record.method, record.money, record.reference)
    for token in payments.keys() - lost_payments.keys():
        assert payments[token].details == {"error": UNKNOWN}


async def to_be_given_back(shop: Shop) -> set[str]:
    """References of the charges of which a refund is queued."""
    return {job.refunded()[1] for job in await shop.jobs() if job.kind == "refund"}


@pytest.mark.parametrize("seed", range(40))
async def test_a_random_sale_comes_back_as_it_was(
    seed: int, shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    history = History(shop, seed)
    await history.begin()
    await history.walk(history.chance.choice([0, 5, 40, 80]))
    yesterday = await save(guard_store.store) if history.chance.random() < 0.8 else {}
    for _ in range(40):
        before = (await shop.state()).seq
        await history.walk(5)
        if (await shop.state()).seq > before + 10:
            break
    await archived.keep()
    lost = await shop.snapshot()
    await put_back(guard_store.store, yesterday)
    had = len(await shop.facts()) if yesterday else 0
    done = await recover(guard_store, archived.archive)
    assert (done.facts, done.missing) == (len(lost["journal"]), len(lost["journal"]) - had)
    check_same(lost, await shop.snapshot())
    refunding = {
        charge.reference
        for packed in (await shop.snapshot())["attempts"].values()
        for charge in unpack_record(packed).charges
        if charge.fate is Fate.REFUNDING
    }
    assert refunding <= await to_be_given_back(shop)
    assert (await shop.audit()).findings == []
    await history.walk(40)
    assert (await shop.audit()).findings == []
    assert (await recover(guard_store, archived.archive)).missing == 0


async def test_nothing_missing_is_nothing_to_do(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 3})
    await shop.hold("ann")
    before = await shop.snapshot()
    assert await recover(guard_store, archived.archive) == Recovered(SALE, 3)
    await archived.keep(2)
    assert await recover(guard_store, archived.archive) == Recovered(SALE, 3)
    assert await shop.snapshot() == before


async def test_a_sale_that_nobody_knows_is_said_to_be_unknown(
    guard_store: GuardStore, archive: Archive
) -> None:
    with pytest.raises(RecoveryError, match=r"neither the store nor the archive .* knows a sale giulia"):
        await recover(guard_store, archive)


async def test_a_definition_that_never_opened_has_to_be_put_again(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    """It is in no fact. What the facts say of its units is taken back."""
    shop.clock.advance(-3600)
    await shop.open({"car": 3, "bus": 2})
    await archived.keep()
    await put_back(guard_store.store, {})
    done = await recover(guard_store, archived.archive)
    assert (done.undefined, done.facts) == (True, 4)
    assert (await shop.look()).sale is None
    assert await shop.define(definition({"car": 7})) is OpenSale.CREATED
    shop.clock.advance(3600)
    await shop.hold("ann")
    assert (await shop.audit()).findings == []
    await archived.keep()
    assert await Guard(guard_store, archived.archive).verify() == []


async def test_charges_of_unknown_sales_come_back_too(
    shop: Shop, archived: Archived, guard_store: GuardStore, sales: SaleStore, clock: Clock
) -> None:
    stray, other = Shop(guard_store.store, sales, clock, sale=STRAY), Archived(archived.archive, sales, STRAY)
    await shop.open({"car": 1})
    await stray.confirm(replace(shop.charge(await shop.hold("ann")), token="s" * 16))
    await other.keep()
    kept = {key: value for key, value in (await save(guard_store.store)).items() if STRAY.encode() not in key}
    lost = await stray.snapshot()
    await put_back(guard_store.store, kept)
    done = await recover(guard_store, archived.archive, STRAY)
    assert (done.missing, done.jobs, done.undefined) == (1, 1, False)
    found = await stray.snapshot()
    assert [found[part] for part in ("sale", "journal", "attempts")] == [
        lost[part] for part in ("sale", "journal", "attempts")
    ]
    assert await to_be_given_back(stray) == {"sim:1"}


async def test_a_journal_that_went_its_own_way_is_left_to_a_person(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 9})
    yesterday = await save(guard_store.store)
    await shop.hold("ann")
    await archived.keep()
    await put_back(guard_store.store, yesterday, new_process=False)
    await shop.hold("bob")
    with pytest.raises(RecoveryError, match="fact 3 of giulia is another one"):
        await recover(guard_store, archived.archive)
    # What the documentation says for those who decide that the archive is right.
    await guard_store.store.redis.delete(*SaleKeys.of(SALE).all())
    assert (await recover(guard_store, archived.archive)).facts == 3
    assert [len(await shop.entries(name)) for name in ("ann", "bob")] == [1, 0]


async def test_an_archive_that_does_not_add_up_changes_nothing(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 1})
    yesterday = await save(guard_store.store)
    await shop.hold("ann")
    facts = await archived.with_events(await shop.facts())
    twice = facts[2][0].__class__(4, facts[2][0].at_ms, facts[2][0].type, facts[2][0].data)
    event = facts[2][1].__class__(**{**_fields(facts[2][1]), "seq": 4})
    archived.archive.append(SALE, 0, [*facts, (twice, event)])
    await put_back(guard_store.store, yesterday)
    with pytest.raises(RecoveryError, match=r"does not add up: fact 4: reservation .* was granted twice"):
        await recover(guard_store, archived.archive)
    keys = {key.decode() async for key in guard_store.store.redis.scan_iter()}
    assert not [key for key in keys if "recovery" in key]
    await guard_store.store.redis.hdel(SaleKeys.of(SALE).sale, "recovering")


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__}


# --- payments that were under way ---


async def test_a_payment_that_began_in_the_lost_part_still_pays_for_its_order(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 1})
    held = await shop.hold("ann")
    await archived.keep()
    await shop.pay(held)
    charge = shop.charge(held)
    await put_back(guard_store.store, {})
    await recover(guard_store, archived.archive)
    record = await shop.payment(held.token)
    assert record is not None
    assert (record.status, record.error) == (PaymentStatus.FAILED, UNKNOWN)
    assert (await shop.pay(held)).outcome is Pay.DONE, "the customer may also begin anew"
    assert await shop.confirmed(charge) == [Confirm.CONFIRMED]


async def test_what_is_known_of_a_payment_is_kept(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 3})
    ann, bob, cem = [await shop.hold(name) for name in ("ann", "bob", "cem")]
    for held in (ann, bob, cem):
        await shop.pay(held, rate=0)
        await shop.attempt(
            held.token, PaymentStatus.REQUIRES_ACTION, f"sim:{held.customer}", details={"x": 1}
        )
    yesterday = await save(guard_store.store)
    await shop.confirm(shop.charge(bob, "sim:other"))
    await shop.cancel(cem.token)
    await archived.keep()
    await put_back(guard_store.store, yesterday)
    await recover(guard_store, archived.archive)
    found = [await shop.payment(held.token) for held in (ann, bob, cem)]
    assert [(each.status.name, each.reference) for each in found if each is not None] == [
        ("REQUIRES_ACTION", "sim:ann"),
        ("PAID", "sim:other"),
        ("CANCELLED", "sim:cem"),
    ]
    voided = {job.voided()[1] for job in await shop.jobs() if job.kind == "void"}
    assert voided == {"sim:bob", "sim:cem"}


async def test_a_restock_that_is_asked_for_again_is_made_once(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 1})
    assert await shop.restock("car", 2, repeat_key="once") is Restock.DONE
    yesterday = await save(guard_store.store)
    await shop.hold("ann")
    await archived.keep()
    await put_back(guard_store.store, yesterday)
    await recover(guard_store, archived.archive)
    assert await shop.restock("car", 2, repeat_key="once") is Restock.REPLAYED


# --- runs that are killed, and runs that meet ---


class KilledError(Exception):
    """Stands for kill -9: nothing of the run happens any more."""


STEPS = ("facts", "reservations", "payments", "swap", "swapped")


async def lost_sale(shop: Shop, archived: Archived, store: GuardStore) -> Snapshot:
    """A sale whose newest facts are in the archive only; as it was."""
    history = History(shop, 7)
    await history.begin()
    await history.walk(60)
    yesterday = await save(store.store)
    await history.walk(60)
    await archived.keep()
    whole = await shop.snapshot()
    await put_back(store.store, yesterday)
    return whole


@pytest.mark.parametrize("dies_at", STEPS)
async def test_a_run_that_was_killed_is_made_again(
    dies_at: str, shop: Shop, archived: Archived, guard_store: GuardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await lost_sale(shop, archived, guard_store)

    def step(name: str) -> None:
        if name == dies_at:
            raise KilledError

    async def nobody_drops(_self: SaleRebuilder) -> None:
        """Who was killed does not tidy up."""

    with monkeypatch.context() as patched:
        patched.setattr(SaleRebuilder, "drop", nobody_drops)
        with pytest.raises(KilledError):
            await Recovery(guard_store, archived.archive, SALE, step=step).run()
    left = [key async for key in guard_store.store.redis.scan_iter(match="*recovery-*")]
    for key in left:
        assert 0 < await guard_store.store.redis.pttl(key) <= LIFE_MS, "it goes by itself"
    marked = (await shop.look()).recovering
    assert bool(marked) is (dies_at != "swapped")
    await recover(guard_store, archived.archive)
    check_same(whole, await shop.snapshot())
    assert (await shop.audit()).findings == []
    if left:
        await guard_store.store.redis.delete(*left)


async def test_runs_that_meet_do_it_once(
    shop: Shop, archived: Archived, guard_store: GuardStore, valkey: str
) -> None:
    whole = await lost_sale(shop, archived, guard_store)

    async def one() -> Recovered | RecoveryError:
        async with GuardStore(valkey, timeout_ms=PATIENCE_MS) as store:
            try:
                return await recover(store, archived.archive)
            except RecoveryError as error:
                return error

    results = await asyncio.gather(*(one() for _ in range(4)))
    done = [each for each in results if isinstance(each, Recovered) and each.missing]
    assert len(done) == 1
    for each in results:
        if isinstance(each, RecoveryError):
            assert "somebody else was faster" in str(each) or "has changed" in str(each)
    check_same(whole, await shop.snapshot())
    assert not [key async for key in guard_store.store.redis.scan_iter(match="*recovery-*")]


async def test_what_was_put_aside_too_long_ago_is_not_put_in_place(
    shop: Shop, archived: Archived, guard_store: GuardStore, valkey: str
) -> None:
    await lost_sale(shop, archived, guard_store)
    redis: Any = guard_store.store.redis
    aside: list[bytes] = []

    def step(name: str) -> None:
        if name == "swap":
            with plain(valkey) as client:
                aside.extend(client.keys("*recovery-*:customers"))
                client.delete(*aside)

    with pytest.raises(RecoveryError, match=r"of the customers 0 of \d are there. Run this again"):
        await Recovery(guard_store, archived.archive, SALE, step=step).run()
    assert aside
    assert await redis.hexists(SaleKeys.of(SALE).sale, "recovering")
    await recover(guard_store, archived.archive)


async def test_orders_are_published_on_where_they_ended(
    shop: Shop, archived: Archived, guard_store: GuardStore, sales: SaleStore
) -> None:
    """The stream is as old as the journal: what is missing comes out of the facts again, byte for byte."""
    orders = OrderStore(guard_store.store, timeout_s=PATIENCE_S)

    async def publish() -> list[Any]:
        publisher = Publisher(sales, orders, EventMaker(sales, "flashsale"))
        await publisher.follow([SALE])
        while await publisher.publish(block_ms=1):
            pass
        redis: Any = guard_store.store.redis
        return list(await redis.xrange(SaleKeys.of(SALE).orders))

    await shop.open({"car": 9})
    ann = await shop.paid("ann", reference="sim:1")
    await publish()
    yesterday = await save(guard_store.store)
    await shop.refund(ann.token)
    await shop.paid("bob", reference="sim:2")
    await archived.keep()
    before = await publish()
    assert len(before) == 3
    for backup in (yesterday, {}):
        await put_back(guard_store.store, backup)
        await recover(guard_store, archived.archive)
        assert await publish() == before
    report = await Audit(sales, SALE, orders=orders).run()
    assert report is not None
    assert report.findings == []
    await orders.close()


async def test_a_rehearsal_comes_back_as_one(shop: Shop, archived: Archived, guard_store: GuardStore) -> None:
    await shop.open({"car": 3}, rehearsal=True)
    await shop.paid("ann", reference="simulator:1")
    await archived.keep()
    lost = await shop.snapshot()
    await put_back(guard_store.store, {})
    assert not (await shop.sale_store.marks([SALE]))[SALE].rehearsal
    await recover(guard_store, archived.archive)
    check_same(lost, await shop.snapshot())
    assert (await shop.sale_store.marks([SALE]))[SALE].rehearsal
    assert (await shop.audit()).findings == []
