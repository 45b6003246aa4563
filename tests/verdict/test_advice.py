"""Advice: one situation each, and that it says nothing where there is nothing to say."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from flashsale.verdict.advice import Advice, Kind, advise
from flashsale.verdict.evidence import Consumer, Evidence, Fact, Levels, Timeline, slot_of
from flashsale.verdict.judge import judge
from flashsale.verdict.pace import journeys, queue
from tests.verdict.honest_sale import T0_MS
from tests.verdict.made_run import SKU, Plan, made_run

KEPT_UP = "The server kept up with this crowd"
MORE_WORKERS = "More server workers for this crowd"
AT_ITS_LIMIT = "The load was at its limit"
FITS = "The hold is as long as payment needs"
SHORT = "The hold is short for the pace of payment"
LONG = "The hold is long for the pace of payment"
CAME_BACK = "Units come back, and are sold again"
LIMITED = "The limit kept units for others"
NO_LIMIT = "No limit per customer"
BOTS = "What bots got"
PACE = "The order system kept pace"
BEHIND = "The order system fell behind"


def advice(run: Evidence, levels: Levels | None = None) -> dict[str, Advice]:
    return {one.title: one for one in advise(run, judge(run, levels or Levels(reserve_p99_ms=500)))}


def fact(one: Advice, name: str) -> float:
    return next(each.value for each in one.facts if each.name == name)


def with_facts(run: Evidence, facts: Sequence[Fact]) -> Evidence:
    numbered = [msgspec.structs.replace(fact, seq=seq) for seq, fact in enumerate(facts, 1)]
    return msgspec.structs.replace(run, engine=msgspec.structs.replace(run.engine, facts=numbered))


# --- the server ---


def test_a_server_that_keeps_up_needs_no_more_workers() -> None:
    one = advice(made_run(Plan(answers_per_second=20_000)))[KEPT_UP]
    assert one.kind == "fine"
    assert fact(one, "p99 of reserve") <= 500
    assert MORE_WORKERS not in advice(made_run(Plan(answers_per_second=20_000)))


def test_a_queue_asks_for_as_many_workers_as_would_have_emptied_it_in_time() -> None:
    run = made_run(Plan(shoppers=3_000, units=100, answers_per_second=1_000))
    one = advice(run)[MORE_WORKERS]
    best, needed = fact(one, "answers per second, at most"), fact(one, "answers per second needed")
    assert best == pytest.approx(1_000, rel=0.05)
    assert f"{-(-10 * needed / best // 1) / 10:g} times as many workers" in one.text
    enough = made_run(Plan(shoppers=3_000, units=100, answers_per_second=round(needed * 1.1)))
    assert judge(enough, Levels()).figures.latency["reserve"].p99 <= 500
    less = made_run(Plan(shoppers=3_000, units=100, answers_per_second=round(needed * 0.6)))
    assert judge(less, Levels()).figures.latency["reserve"].p99 > 500


def test_workers_are_counted_where_they_are_known() -> None:
    run = made_run(Plan(shoppers=3_000, units=100, answers_per_second=1_000))
    run.run.options["server_workers"] = 2
    one = advice(run)[MORE_WORKERS]
    factor = fact(one, "answers per second needed") / fact(one, "answers per second, at most")
    assert f"{-(-2 * factor // 1):g} workers instead of 2" in one.text


def test_the_wanted_p99_is_that_of_the_run() -> None:
    run = made_run(Plan(shoppers=1_000, units=100, answers_per_second=2_000))
    assert KEPT_UP in advice(run, Levels(reserve_p99_ms=5_000))
    assert MORE_WORKERS in advice(run, Levels(reserve_p99_ms=20))


@pytest.mark.parametrize("plan", [Plan(cpu_share=0.97), Plan(late_ms=400.0)], ids=["CPU", "late"])
def test_a_load_at_its_limit_says_nothing_about_the_server(plan: Plan) -> None:
    found = advice(made_run(replace(plan, shoppers=1_000, answers_per_second=500)))
    assert found[AT_ITS_LIMIT].kind == "unknown"
    assert not {KEPT_UP, MORE_WORKERS} & found.keys()


@pytest.mark.parametrize(
    ("host", "shared"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:80", True),
        ("localhost", True),
        ("https://shop.test", False),
    ],
)
def test_it_says_when_server_and_load_shared_a_machine(host: str, shared: bool) -> None:
    assert (
        "shared this machine" in advice(made_run(Plan(host=host, answers_per_second=20_000)))[KEPT_UP].text
    ) == shared


def test_slow_answers_without_a_queue_are_not_for_want_of_workers() -> None:
    run = made_run()
    slot = slot_of(900)
    run.told.timeline = Timeline(
        100, {"held": dict.fromkeys(range(100), 10)}, {"reserve": {b: {slot: 10} for b in range(100)}}
    )
    one = advice(run)["Answers took long, and not for want of workers"]
    assert one.kind == "act"


def test_the_rate_that_is_needed_is_that_of_the_worst_stretch() -> None:
    # A thousand pressed within the first bucket, answered over a second: nobody waits longer than 400 ms at 2,500 a second.
    table = {bucket: {slot_of(bucket * 100 + 10): 100} for bucket in range(10)}
    found = queue(Timeline(100, {}, {"reserve": table}), 400)
    assert found is not None
    assert found.presses == 1_000
    assert found.presses_per_second == 10_000
    assert found.answers_per_second == 1_000
    assert found.waiting_max == 900
    assert found.needed_per_second == 2_500


# --- holds ---


def test_a_hold_that_fits_is_left_as_it_is() -> None:
    one = advice(made_run(Plan(pay_ms=1_200, hold_ms=5_000)))[FITS]
    assert one.kind == "fine"
    assert fact(one, "from hold to paid, p50") < fact(one, "from hold to paid, p95") < 5_000


def test_a_short_hold_should_be_twice_as_long_as_most_payments_take() -> None:
    run = made_run(Plan(pay_ms=3_000, hold_ms=3_500, units=100))
    one = advice(run)[SHORT]
    assert one.kind == "act"
    assert fact(one, "holds that ran out during their payment") > 0.01 * 100
    assert "Set `hold_seconds` to 7 s or more" in one.text


def test_a_long_hold_kept_units_from_others() -> None:
    run = made_run(Plan(pay_ms=400, hold_ms=20_000, units=100, leave=0.2))
    one = advice(run)[LONG]
    left = fact(one, "holds that ran out without a payment")
    assert left > 0
    assert f"{left:g} units sat for 20.0 s each" in one.text
    assert SHORT not in advice(run)


def test_a_hold_that_nobody_paid_for_says_nothing_about_its_length() -> None:
    run = made_run(Plan(leave=1.0, cancel=0.0, patience_ms=4_000))
    assert advice(run)["Nobody paid"].kind == "unknown"
    assert not {FITS, SHORT, LONG} & advice(run).keys()


def test_late_payments_are_counted_by_what_came_of_them() -> None:
    run = made_run(Plan(shoppers=60, units=20, leave=0.2))
    over = [one for one in run.engine.facts if one.type == "reservation.expired"]
    late, refused = over[0], over[1]
    facts = [
        *run.engine.facts,
        msgspec.structs.replace(late, type="reservation.confirmed", at_ms=late.at_ms + 9_000),
    ]
    facts.append(
        msgspec.structs.replace(refused, type="charge.refused", at_ms=refused.at_ms + 9_000, units={})
    )
    one = advice(with_facts(run, facts))["Payments that came too late"]
    assert one.kind == "act"
    assert one.text.startswith(
        "1 payment came after the hold had ended, and got units that were still there. 1 charge came"
    )
    assert [each.value for each in one.facts] == [1, 1]
    assert sum(journey.ran_out for journey in journeys(with_facts(run, facts))) == 2


def test_what_came_back_is_counted_and_foretold() -> None:
    run = made_run(Plan(shoppers=1_000, units=100, leave=0.25, cancel=0.05))
    figures, one = judge(run, Levels()).figures, advice(run)[CAME_BACK]
    assert fact(one, "units that came back") == figures.expired + figures.cancelled
    assert fact(one, "taken again") == figures.units_held_ever - 100
    back = [
        f.at_ms - T0_MS
        for f in run.engine.facts
        if f.type in {"reservation.expired", "reservation.cancelled"}
    ]
    assert (fact(one, "first back after"), fact(one, "last back after")) == (min(back), max(back))
    share = fact(one, "of the units held")
    assert f"expect about {100 * share:.0f} of 100 units to be sold a second time" in one.text


def test_nothing_is_foretold_of_a_crowd_that_mostly_leaves() -> None:
    one = advice(made_run(Plan(shoppers=500, units=50, leave=0.8, patience_ms=40_000)))[CAME_BACK]
    assert fact(one, "of the units held") > 0.5
    assert "expect" not in one.text


def test_refunds_come_back_too_when_they_say_so() -> None:
    run = made_run(Plan(shoppers=300, units=40, leave=0.0, cancel=0.0, pay_ms=500, refund=0.3))
    one = advice(run)[CAME_BACK]
    assert fact(one, "units that came back") == judge(run, Levels()).figures.refunded > 0


def test_units_that_nobody_took_again_are_not_called_sold_again() -> None:
    run = made_run(Plan(shoppers=50, units=50, leave=0.3, patience_ms=500))
    one = advice(run)[CAME_BACK]
    assert fact(one, "taken again") == 0
    assert "none of them were taken again" in one.text


# --- who bought ---


def test_a_limit_that_was_asked_to_give_more_is_worth_having() -> None:
    run = made_run()
    run.told.timeline.answers["limit_reached"] = {3: 25}
    assert fact(advice(run)[LIMITED], "presses over the limit") == 25
    assert LIMITED not in advice(made_run())


def test_without_a_limit_it_says_in_how_many_hands_the_units_are() -> None:
    run = made_run(Plan(shoppers=30, units=20, limit=None, leave=0.0, cancel=0.0, pay_ms=500))
    assert NO_LIMIT not in advice(run)
    facts = [
        msgspec.structs.replace(one, customer="greedy") if one.reservation in {"r-1", "r-2", "r-3"} else one
        for one in run.engine.facts
    ]
    one = advice(with_facts(run, facts))[NO_LIMIT]
    assert one.kind == "act"
    assert "1 customer bought more than one unit, 3 of 20 units together" in one.text


@pytest.mark.parametrize(("holds", "kind"), [(1, "fine"), (20, "act")])
def test_bots_that_got_much_are_to_be_kept_out(holds: int, kind: Kind) -> None:
    run = made_run(Plan(shoppers=100, units=50))
    run.told.bots = {"hammer 409": 500, "hammer 201": holds}
    run.told.bot_holds, run.told.holds = run.told.holds[:holds], run.told.holds[holds:]
    one = advice(run)[BOTS]
    assert one.kind == kind
    assert fact(one, "holds of bots") == holds
    assert BOTS not in advice(made_run())


@pytest.mark.parametrize(
    ("consumer", "title", "kind"),
    [
        ({}, PACE, "fine"),
        ({"delay_p99_ms": 9_000.0}, BEHIND, "act"),
        ({"last_sequence": 10, "received": 10}, BEHIND, "act"),
    ],
)
def test_an_order_system_keeps_pace_or_falls_behind(
    consumer: dict[str, float], title: str, kind: Kind
) -> None:
    run = made_run()
    last = len(run.feed.orders)
    books = {
        "name": "books",
        "received": last,
        "last_sequence": last,
        "delay_p50_ms": 20.0,
        "delay_p99_ms": 80.0,
    }
    run.feed.consumers = [msgspec.convert({**books, **consumer}, Consumer)]
    found = advice(run)
    assert found[title].kind == kind
    assert len({PACE, BEHIND} & found.keys()) == 1


# --- what cannot be concluded ---


def test_without_an_order_system_its_pace_is_open() -> None:
    assert advice(made_run(Plan(consumers=0)))["Nobody followed the order feed"].kind == "unknown"


def test_a_sale_that_did_not_sell_out_says_nothing_of_what_comes_then() -> None:
    run = made_run(Plan(shoppers=20, units=50))
    assert advice(run)["The sale did not sell out"].kind == "unknown"
    assert "The sale did not sell out" not in advice(made_run())


def test_a_small_crowd_may_be_chance() -> None:
    assert (
        "decided by the slowest one alone"
        in advice(made_run(Plan(shoppers=60, units=60)))["A small crowd"].text
    )
    assert "A small crowd" not in advice(made_run(Plan(shoppers=1_500)))


def test_holds_that_outlive_the_run_hide_what_comes_back() -> None:
    run = made_run(Plan(shoppers=60, units=40, hold_ms=60_000, leave=0.3, cancel=0.0))
    end_ms = T0_MS + 20_000
    facts = [one for one in run.engine.facts if one.at_ms < end_ms]
    early = with_facts(run, facts)
    early.run = msgspec.structs.replace(run.run, ended_ms=end_ms)
    one = advice(early)["Holds that outlive the run"]
    assert fact(one, "unpaid at the end") > 0
    assert "Holds that outlive the run" not in advice(run)


def test_a_sale_that_others_share_is_said_to_be() -> None:
    run = made_run()
    run.run = msgspec.structs.replace(run.run, alone=False)
    assert "Others may have bought in this sale" in advice(run)


def test_nothing_is_said_when_nothing_happened() -> None:
    run = made_run(Plan(shoppers=0))
    run.engine.facts = []
    assert advise(run, judge(run, Levels())) == []


def test_what_is_to_be_done_comes_first_and_everything_has_its_facts() -> None:
    run = made_run(
        Plan(shoppers=3_000, units=100, answers_per_second=1_000, pay_ms=3_000, hold_ms=3_500, consumers=0)
    )
    found = list(advice(run).values())
    order = ["act", "fine", "unknown"]
    assert [one.kind for one in found] == sorted((one.kind for one in found), key=order.index)
    assert {one.kind for one in found} == set(order)
    assert all(one.facts and one.text for one in found)
    assert SKU not in "".join(one.text for one in found)
