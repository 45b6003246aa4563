"""`flashsale recover`: what was lost is there again, key by key, and the sale goes on from there."""

from dataclasses import replace
from typing import Any

import pytest

from flashsale.archive import Archive
from flashsale.engine.guard import Guard
from flashsale.engine.recovery import Recovered, Recovery, RecoveryError
from flashsale.keys import STRAY, SaleKeys
from flashsale.model.outcomes import Confirm, OpenSale, Pay, Restock
from flashsale.model.payment import Fate, PaymentStatus, unpack_record
from flashsale.model.rebuild import UNKNOWN
from flashsale.store.guarding import GuardStore
from flashsale.store.sales import SaleStore
from tests.recovery.archived import Archived, put_back, save
from tests.recovery.histories import History
from tests.support.sales import SALE, Clock, definition
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
