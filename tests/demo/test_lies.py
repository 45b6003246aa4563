"""The whole demo against a server that sells wrongly: the verdict is red, and names what is wrong."""

from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from flashsale.cli.demo import play
from flashsale.demo.definitions import load_sale
from flashsale.demo.messages import Shares
from flashsale.demo.run import DemoOptions
from tests.demo.conftest import EVERYBODY_PAYS, Demo, starter
from tests.demo.lying_feed import KEY
from tests.demo.lying_server import LIES, LyingServer

LASTING = load_sale("giulia", 20, hold_seconds=12)
"""Its holds last: all units are held at one time, even where the machine stalls while the crowd presses."""
FAULTS = {
    "drops_answers": {"unanswered"},
    "sells_one_too_many": {"oversold", "counters"},
    "keeps_one_back": {"undersold"},
    "forgets_one": {"lost"},
    "replays_another": {"contradicted"},
    "swaps_place": {"place"},
    "hoards": {"undersold"},
    "sells_the_held": {"oversold"},
    "takes_back_the_paid": {"lost"},
    "charges_without_order": {"charged_for_nothing", "sums"},
    "confirms_without_charge": {"unpaid_order"},
    "charges_twice": {"charged_twice", "charged_for_nothing"},
    "charges_too_much": {"amount"},
    "refunds_twice": {"refunds"},
    "refunds_orders": {"refunds"},
    "hides_charges": {"sums"},
    "denies_trouble": {"sums"},
    "skips_a_number": {"feed_ended", "feed_lost", "feed_summary"},
    "hides_an_order": {"feed_lost"},
    "tells_an_order_twice": {"feed_twice"},
    "tells_another_amount": {"feed_untrue"},
    "sums_up_wrongly": {"feed_summary"},
}


def test_every_lie_is_told() -> None:
    assert set(FAULTS) == LIES


@pytest.mark.long
@pytest.mark.parametrize("lie", sorted(LIES))
async def test_a_lie_is_found_out(demo: Demo, lie: str) -> None:
    # Units can only be kept from those who come back when somebody does not pay.
    shares = Shares(walk_away=60, come_back=60) if lie == "hoards" else EVERYBODY_PAYS
    # What was granted must be held still when all is.
    sale = LASTING if lie == "sells_the_held" else load_sale("giulia", 20, hold_seconds=2)
    # Who is told nothing waits as long as the demo lets them.
    patience_s = 20.0 if lie in {"drops_answers", "charges_without_order", "hoards"} else 30.0
    result, printed = await demo(LyingServer(lie), sale=sale, shares=shares, patience_s=patience_s)
    assert not result.ok
    assert {finding["fault"] for finding in result.findings} >= FAULTS[lie]
    assert "WRONG" in printed
    assert "Not one unit too many" not in printed


async def test_an_honest_server_is_green(demo: Demo) -> None:
    # A busy machine may be late for the presses before T0: some are told that they were early in any case.
    server = LyingServer(early_first=7)
    result, printed = await demo(server, sale=LASTING)
    assert result.ok, result.findings
    assert result.sold_out
    assert (result.sales, result.units, result.shoppers) == (20, 20, 120)
    assert "Not one unit too many" in printed
    assert "opens in" in printed
    assert server.early >= 7
    assert result.not_open_answers == server.early
    doubles = result.replays + result.sold_out_answers + result.sales - result.shoppers
    assert doubles > 0
    back = result.payments.came_back
    assert len(server.presses) == result.shoppers + server.early + doubles + back.presses
    presses = Counter(customer for customer, _ in server.presses)
    assert len(presses) == 120
    assert len(set(server.presses)) == 120, "a shopper has one Idempotency-Key, whatever happens"
    (money,) = result.payments.money
    assert money.charges.count == len(server.charges)
    assert money.charges.amount == money.orders.amount + money.refunds.amount
    received = result.order_system
    assert (received.orders, received.last_sequence) == (len(server.feed.events), len(server.feed.events))
    assert (received.refunds, received.dropped, received.processes) == (0, 0, 2)
    assert received.killed_after is not None
    assert f"order system killed (kill -9) after {received.killed_after} orders and started again" in printed
    assert received.curve[-1][1] == received.orders
    assert server.feed.readers == {KEY}, "the order system has no other key"
    assert server.feed.revoked == ["0123456789ab"]


@pytest.mark.long
async def test_those_who_do_not_pay_make_room_for_those_who_come_back(demo: Demo) -> None:
    # Among any forty who may be the first are some of each; that there is none of one kind has a chance below 1e-9.
    shares = Shares(decline=40, walk_away=40, late=15, again=50, come_back=60)
    sale = load_sale("giulia", 40, hold_seconds=12)
    result, _ = await demo(LyingServer(), shares=shares, sale=sale, patience_s=90.0)
    assert result.ok, result.findings
    payments = result.payments
    assert payments.sold_again > 0
    assert payments.came_back.holds == payments.sold_again
    assert payments.checkouts.holds == 40 + payments.sold_again
    assert payments.checkouts.walked_away > 0
    assert payments.checkouts.declined > 0
    assert payments.holds_ended_unpaid == 40 + payments.sold_again - payments.paid_orders


async def test_cut_connections_and_busy_answers_are_pressed_again(demo: Demo) -> None:
    result, _ = await demo(LyingServer(cuts_first=6, busy_first=5), sale=LASTING)
    assert result.ok, result.findings
    assert result.errors == {"busy": 5, "cut": 6, "other": 0}
    assert result.sold_out
    assert result.replays > 0, "who was cut off after the sale learns of it by the retry"


@pytest.mark.parametrize(("lie", "exit_code"), [("refunds_twice", 1), ("", 0)])
def test_the_exit_code_says_it(options: DemoOptions, lie: str, exit_code: int) -> None:
    console = Console(file=StringIO())
    assert play(options, console, as_json=False, start_server=starter(LyingServer(lie))) == exit_code
