"""Seeded faults: real crowds at servers that are wrong in one way. The verdict turns red, and says what happened.

Where the fault is in a script, the engine's own audit would notice as well: so most are found once more while the server's
books agree with the lie, and shoppers or order systems alone have seen it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.loadtest import builds, cooked_books, lies
from tests.loadtest.between import Between, Lie
from tests.loadtest.builds import Fault
from tests.loadtest.conftest import Serve
from tests.loadtest.cooked_books import Change, CookedBooks
from tests.loadtest.runs import Outcome, headless
from tests.support_http.client import ROOT_KEY

pytestmark = pytest.mark.slow

SKU = "unit"
LEAVE = {"abandon": 80, "cancel": 0}
CANCEL = {"abandon": 0, "cancel": 80}
PAY = {"abandon": 0, "cancel": 0, "decline": 0}
STANDS = {"hold_seconds": 20}
"""Holds that last: what has to be seen at one time is there at one time, however slow the machine is."""
WANT_TWO = {"units": 80, "greedy": 100, "come_back": 0, **STANDS}


@dataclass(frozen=True)
class Seeded:
    """A fault, the crowd that meets it, and what must be said about it: check -> words of one of its findings."""

    name: str
    says: dict[str, str]
    fault: Fault | None = None
    lie: Callable[[], Lie] | None = None
    crowd: Mapping[str, object] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    """Checks that have nothing to say: the lie is told so well that only others can notice."""
    always: bool = False
    """Whether it is looked for in every run of the tests; the others only in the long one."""


def cook(
    journal: Change = cooked_books.as_they_are, feed: Change = cooked_books.as_they_are
) -> Callable[[], Lie]:
    return lambda: CookedBooks(ROOT_KEY, journal, feed)


AUDIT = "The engine's audit: "
UNHEARD = frozenset({"engine"})

SEEDED = (
    Seeded(
        "oversells by one",
        {
            "oversold": r"shoppers were told that they have 11 units at one time",
            "engine": AUDIT + ".*oversold",
        },
        builds.OVERSELLS,
        crowd=STANDS,
        always=True,
    ),
    Seeded(
        "oversells by one, and its counters add up",
        {"oversold": r"shoppers were told that they have 11 units at one time", "engine": AUDIT},
        builds.OVERSELLS_UNCOUNTED,
        crowd=STANDS,
    ),
    Seeded(
        "oversells by one, and hides it",
        {
            "oversold": r"shoppers were told that they have 11 units at one time",
            "answers": r"1 reservation told to shoppers that the journal does not have",
        },
        builds.OVERSELLS,
        cook(cooked_books.without_the_extra),
        crowd={"abandon": 100, "come_back": 0, **STANDS},
        silent=frozenset({"engine", "undersold", "limit", "money", "feed"}),
    ),
    Seeded(
        "strands the unit of a hold that expires",
        {"undersold": r"1 unit of 10 neither available", "engine": AUDIT},
        builds.STRANDS,
        crowd=LEAVE,
    ),
    Seeded(
        "strands the unit of a hold that is cancelled",
        {"undersold": r"1 unit of 10 neither available", "engine": AUDIT},
        builds.STRANDS_CANCELLED,
        crowd=CANCEL,
    ),
    Seeded(
        "strands a unit, and hides it",
        {"undersold": r"said sold out while it could be had"},
        builds.STRANDS,
        cook(),
        crowd={**LEAVE, "come_back": 100},
        silent=UNHEARD,
    ),
    Seeded(
        "never ends a hold, and hides it",
        {"undersold": r"said sold out while it could be had"},
        builds.STRANDS_HELD,
        cook(),
        crowd={**LEAVE, "come_back": 100},
        silent=UNHEARD,
    ),
    Seeded(
        "lets a customer have two",
        {
            "limit": r"were told of more at one time than the limit allows: .*2 units instead of 1",
            "engine": AUDIT,
        },
        builds.LETS_HAVE_TWO,
        crowd=WANT_TWO,
    ),
    Seeded(
        "lets a customer have two, and gives the second another name",
        {
            "limit": r"were told of more at one time than the limit allows",
            "answers": "told otherwise than the journal",
        },
        builds.LETS_HAVE_TWO,
        cook(cooked_books.with_other_names),
        crowd=WANT_TWO,
        silent=UNHEARD,
    ),
    Seeded(
        "skips a sequence number",
        {"feed": r"1 sequence number missing in the journal, up to \d+: 3", "engine": AUDIT + "number 4"},
        builds.SKIPS_A_NUMBER,
        crowd=PAY,
    ),
    Seeded(
        "skips a sequence number, and hides it",
        {
            "feed": r"\d+ orders? of the journal missing in the order feed",
            "agreement": r"The order feed has \d orders? made, and",
        },
        builds.SKIPS_A_NUMBER,
        cook(),
        crowd=PAY,
        silent=UNHEARD,
    ),
    Seeded(
        "skips a fact of the journal",
        {
            "engine": r"The journal has \d+ facts up to number \d+; missing: \d\."
        },  # before which batch, chance decides
        builds.SKIPS_A_FACT,
    ),
    Seeded(
        "loses a charge",
        {"money": r"1 payment that shoppers agreed to, neither an order nor given back"},
        builds.LOSES_A_CHARGE,
        crowd=PAY,
        silent=UNHEARD,
    ),
    Seeded(
        "drops an answer after the hold was granted",
        {"answers": r"1 request got no answer"},
        lie=lies.SwallowsAHold,
        silent=frozenset({"oversold", "undersold", "limit", "money", "feed", "agreement", "engine"}),
    ),
    Seeded(
        "never answers one shopper who has a hold",
        {"answers": r"1 shopper of 60 never got a final answer"},
        lie=lies.SwallowsAllOfOne,
        silent=frozenset({"oversold", "limit", "money", "feed", "engine"}),
    ),
    Seeded(
        "drops an answer and says sold out instead",
        {"answers": r"1 reservation in the journal that nobody was told of", "undersold": "said sold out"},
        lie=lies.DeniesAHold,
        crowd={"come_back": 0, "double_press": 0},
        silent=UNHEARD,
    ),
    Seeded(
        "invents a hold",
        {
            "answers": r"1 reservation told to shoppers that the journal does not have",
            "agreement": r"Shoppers were told of \d+ reservations, and the journal has",
        },
        lie=lies.InventsAHold,
        crowd={"greedy": 0, "double_press": 0},  # nobody who has one already is told of another
        silent=frozenset({"engine", "feed", "limit"}),
    ),
    Seeded(
        "tells a shopper who has paid that the hold has expired",
        {"answers": r"1 reservation told as expired, and by the journal were not"},
        lie=lies.ExpiresAPaidOrder,
        crowd=PAY,
        silent=frozenset({"oversold", "undersold", "limit", "feed", "engine"}),
    ),
    Seeded(
        "leaves an order out of the feed",
        {"feed": r"1 sequence number missing in the order feed, up to \d+: 3"},
        lie=lies.LeavesOneOutOfTheFeed,
        crowd=PAY,
        silent=frozenset({"oversold", "undersold", "limit", "money", "engine"}),
    ),
    Seeded(
        "leaves an order out of the feed, and numbers the others anew",
        {"feed": r"1 order of the journal missing in the order feed", "agreement": r"The order feed has"},
        lie=cook(feed=cooked_books.without_the_third_order),
        crowd=PAY,
        silent=frozenset({"oversold", "undersold", "limit", "money", "engine"}),
    ),
)


def named(seeded: Seeded) -> str:
    """Its name in the test's id."""
    return seeded.name.replace(",", "").replace(" ", "-")


def marks(seeded: Seeded) -> list[pytest.MarkDecorator]:
    """All of them together take minutes."""
    return [] if seeded.always else [pytest.mark.long]


async def met(tmp_path: Path, url: str, told: Sequence[Lie], crowd: Mapping[str, object]) -> Outcome:
    """What a crowd makes of the server there, with these lies between."""
    if not told:
        return await headless(tmp_path / "load", url, **crowd)
    async with Between(url, told).listening() as between:
        return await headless(tmp_path / "load", between, **crowd)


@pytest.mark.parametrize("seeded", [pytest.param(each, id=named(each), marks=marks(each)) for each in SEEDED])
async def test_a_fault_is_found(serve: Serve, tmp_path: Path, seeded: Seeded) -> None:
    told = [seeded.lie()] if seeded.lie else []
    outcome = await met(tmp_path, serve(seeded.fault).url, told, seeded.crowd)
    assert outcome.exit_code == 1, outcome.said + outcome.log
    assert not outcome.report["verdict"]["ok"]
    found = outcome.findings
    for check, words in seeded.says.items():
        assert any(re.search(words, finding) for finding in found.get(check, [])), (check, words, found)
        assert f"WRONG {check}: " in outcome.said
    assert not found.keys() & seeded.silent, found


async def test_an_honest_server_is_green_and_sold_out_is_a_success(serve: Serve, tmp_path: Path) -> None:
    outcome = await headless(tmp_path / "load", serve(None).url, bots=2, refreshers=3)
    assert outcome.exit_code == 0, outcome.said + outcome.log
    assert outcome.findings == {}
    assert outcome.report["verdict"]["ok"]
    assert "WRONG" not in outcome.said
    figures = outcome.report["figures"]
    assert figures["sold_out_answers"] > 0
    assert (figures["pressed"], figures["decided"], figures["stock"]) == (60, 60, 10)
    assert figures["accepted"] >= 10
    assert 0 < figures["sales"] <= 10


@pytest.mark.long
async def test_bots_that_get_units_to_the_very_end_are_heard_out(serve: Serve, tmp_path: Path) -> None:
    """What they were told last has to be in the evidence, or the journal has holds that nobody was told of."""
    crowd = {"units": 300, "hold_seconds": 1, "think_seconds": 1.5, "bots": 3, "quantity": 2}
    outcome = await headless(tmp_path / "load", serve(None).url, **crowd)
    assert outcome.exit_code == 0, outcome.said + outcome.log
    assert len(outcome.evidence["told"]["bot_holds"]) > 3


@pytest.mark.long
async def test_an_honest_server_behind_a_proxy_is_green(serve: Serve, tmp_path: Path) -> None:
    """Neither the proxy nor the cooking of books is what turned a verdict red."""
    outcome = await met(tmp_path, serve(None).url, [CookedBooks(ROOT_KEY)], {})
    assert outcome.exit_code == 0, outcome.said + outcome.log
    assert outcome.findings == {}
