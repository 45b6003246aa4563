"""kill -9 of whoever delivers, again and again: everything arrives, in order, without a gap, at most its last one twice."""

import asyncio
import random
import signal
from pathlib import Path

from flashsale.engine.webhooks import Webhooks
from flashsale.model.events import ORDER_EVENTS
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.process.programs import Program
from tests.support.sales import Clock
from tests.support.shop import Shop
from tests.webhooks.inbox import eventually
from tests.webhooks.processes import Receiver, Worker

KILLS = 25
SALES = 3
ORDERS_A_SALE = 200


def in_order(sequences: list[int]) -> bool:
    """Whether each is the one after the last, or the last once more: nothing was left out, nothing came out of turn."""
    last = 0
    for sequence in sequences:
        if sequence not in {last, last + 1}:
            return False
        last = sequence
    return True


def without_late(sequences: list[int], most: int) -> list[int]:
    """Without those that came again behind later ones, of which there may be so many."""
    found: list[int] = []
    for sequence in sequences:
        if most and found and sequence < found[-1] and sequence in found:
            most -= 1
        else:
            found.append(sequence)
    return found


async def sell(shop: Shop) -> None:
    await shop.open({"car": ORDERS_A_SALE})
    for number in range(ORDERS_A_SALE):
        name = f"{shop.sale}-{number}"
        await shop.paid(name, ("car", 1), reference=f"sim:{name}")


async def test_the_real_worker_is_killed_and_another_goes_on(
    valkey: str, store: Store, sale_store: SaleStore, clock: Clock, webhooks: Webhooks, tmp_path: Path
) -> None:
    """The same with `flashsale work`: what a dead one has not done is done after its lease, of ten seconds."""
    env = {
        "FLASHSALE_WORK_ONLY": "orders",
        "FLASHSALE_ARCHIVE": "none",
        "FLASHSALE_WEBHOOK_PRIVATE_NETWORKS": "1",
    }
    shop = Shop(store, sale_store, clock, "sale")
    with Receiver(tmp_path / "taken") as receiver:
        _, webhook = await webhooks.create(receiver.url, sorted(ORDER_EVENTS), None)
        receiver.secret_file.write_text(webhook.secret)
        selling = asyncio.create_task(sell(shop))
        for enough in (20, ORDERS_A_SALE):
            worker = Program(["-m", "flashsale", "work", "--redis-url", valkey], tmp_path, env)

            async def taken(enough: int = enough) -> bool:
                return len(receiver.taken().get(shop.sale, [])) >= enough

            try:
                await eventually(taken, "orders arrive")
            finally:
                worker.end()
        await selling
        assert in_order(receiver.taken()[shop.sale])


async def test_a_worker_that_was_frozen_is_overtaken_and_changes_nothing_when_it_wakes_up(
    valkey: str, store: Store, sale_store: SaleStore, clock: Clock, webhooks: Webhooks, tmp_path: Path
) -> None:
    shop = Shop(store, sale_store, clock, "sale")
    with Receiver(tmp_path / "taken") as receiver:
        webhook_id, webhook = await webhooks.create(receiver.url, sorted(ORDER_EVENTS), None)
        receiver.secret_file.write_text(webhook.secret)

        async def arrived(count: int) -> None:
            async def look() -> bool:
                return max(receiver.taken().get(shop.sale, [0])) >= count

            await eventually(look, f"{count} orders have arrived")

        selling = asyncio.create_task(sell(shop))
        with Worker(valkey, tmp_path / "log") as first:
            await arrived(10)
            first.send(signal.SIGSTOP)
            with Worker(valkey, tmp_path / "log") as second:
                await selling
                await arrived(ORDERS_A_SALE)
                second.kill()
                first.send(signal.SIGCONT)
                assert await webhooks.replay(webhook_id, shop.sale, ORDERS_A_SALE - 1) is not None

                async def again() -> bool:
                    return receiver.taken()[shop.sale].count(ORDERS_A_SALE) >= 2

                async def recorded() -> bool:
                    view = await webhooks.get(webhook_id)
                    return view is not None and view.progress.positions == {shop.sale: ORDERS_A_SALE}

                await eventually(again, "the one that was frozen delivers again")
                await eventually(recorded, "and writes it down")
        # What it was about to send when it was frozen may come late: the documentation says so.
        taken = receiver.taken()[shop.sale]
        assert any(in_order([*taken[:late], *taken[late + 1 :]]) for late in range(len(taken)))


async def test_everything_arrives_in_order_whatever_dies(
    valkey: str, store: Store, sale_store: SaleStore, clock: Clock, webhooks: Webhooks, tmp_path: Path
) -> None:
    chance = random.Random(20261122)
    shops = [Shop(store, sale_store, clock, f"sale-{number}") for number in range(SALES)]
    log = tmp_path / "log"
    with Receiver(tmp_path / "taken") as receiver:
        _, webhook = await webhooks.create(receiver.url, sorted(ORDER_EVENTS), None)
        receiver.secret_file.write_text(webhook.secret)
        selling = asyncio.gather(*map(sell, shops))
        workers = [Worker(valkey, log), Worker(valkey, log)]
        try:
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                victim = chance.randrange(2)
                workers[victim].kill()
                workers[victim] = Worker(valkey, log)
            await selling

            async def all_taken() -> bool:
                return {sale: max(found) for sale, found in receiver.taken().items()} == {
                    shop.sale: ORDERS_A_SALE for shop in shops
                }

            await eventually(all_taken, f"everything has arrived; log:\n{log.read_text()[-3000:]}")
        finally:
            for worker in workers:
                worker.kill()
        taken = receiver.taken()
    said = log.read_text()
    # A worker that stood still for longer than its lease is overtaken like one that was frozen, and says so.
    overtaken = said.count("webhooks.lease_lost") + said.count("webhooks.not_recorded")
    assert sum(map(len, taken.values())) <= SALES * (ORDERS_A_SALE + KILLS + overtaken)
    for found in taken.values():
        assert in_order(without_late(found, overtaken)), found
    assert "webhooks.fault" not in said
