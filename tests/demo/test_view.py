from io import StringIO
from typing import Final

import pytest
from rich.console import Console

from flashsale.demo.messages import Progress, Received
from flashsale.demo.view import Scene, View

NOW: Final = 1000.0
SALE = {
    "state": "open",
    "items": [
        {"sku": "a", "stock": 30, "available": 20, "held": 10, "sold": 0},
        {"sku": "b", "stock": 10, "available": 5, "held": 3, "sold": 2},
    ],
}


def rendered(scene: Scene) -> str:
    console = Console(file=StringIO(), width=90)
    console.print(scene.render())
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time that it is for the view, as long as the test lasts."""
    monkeypatch.setattr("flashsale.demo.view.monotonic", lambda: NOW)
    return NOW


def test_the_countdown(stopped: float) -> None:
    scene = Scene("Shoes", 10, 2)
    assert "getting ready" in rendered(scene)
    scene.opens_at = stopped + 100
    assert "opens in 100.0 s" in rendered(scene)
    scene.opens_at = stopped - 3
    assert "open for  3.0 s" in rendered(scene)


def test_units_and_answers() -> None:
    scene = Scene("Shoes", 10, 2, hold_seconds=5)
    scene.looked(SALE)
    assert (scene.stock, scene.available, scene.held, scene.paid) == (40, 25, 13, 2)
    scene.heard(Progress(100.0, {"sale": 10}, 90))
    scene.heard(Progress(200.0, {"sale": 20, "sold_out": 30}, 50))
    assert scene.rates == {"sale": 100.0, "sold_out": 300.0}
    assert (scene.available, scene.held) == (20, 18), "the crowd may know of sales before the next look"
    scene.heard(Progress(5000.0, {"sale": 20, "sold_out": 30}, 0))
    assert scene.rates.get("sale", 0.0) == 0.0, "the rate is of the last half second"
    scene.heard(Progress(5100.0, {"sale": 40}, 0, {"walked_away": 7, "sold_again": 3}))
    assert scene.available == 20, "by now holds may have ended"
    shown = rendered(scene)
    assert "Shoes" in shown
    assert "sold out (409)" in shown
    scene.looked(SALE, Received(orders=9, refunds=2, sequence=11))
    counts_beside = [line.split()[1:3] for line in rendered(scene).splitlines() if "received" in line]
    assert counts_beside == [["received", "7"]]
    assert "from the feed: confirmed 9, refunded 2" in rendered(scene)
    names, counts = (line.split() for line in shown.splitlines()[-3:-1])
    assert " ".join(names) == "│ agreed to pay declined walked away came back sold again │"
    assert counts == ["│", "0", "0", "7", "0", "3", "│"]


def test_without_a_terminal_it_says_a_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=StringIO(), width=90)
    with View(console, Scene("Shoes", 10, 2)) as view:
        for second in range(3):
            for part in range(50):
                monkeypatch.setattr(
                    "flashsale.demo.view.monotonic", lambda now=NOW + second + part / 100: now
                )
                view.changed()
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().count("\n") == 3


def test_a_line_says_answers_while_shoppers_wait_and_then_what_was_sold_again() -> None:
    console = Console(file=StringIO(), width=90)
    scene = Scene("Shoes", 10, 2)
    for progress, received in (
        (Progress(100.0, {"sale": 10}, 90), None),
        (Progress(9000.0, {"sale": 100}, 0, {"sold_again": 3}), Received(orders=2, refunds=1, sequence=3)),
    ):
        scene.looked(SALE, received)
        scene.heard(progress)
        with View(console, scene) as view:
            view.changed()
    assert isinstance(console.file, StringIO)
    first, second = console.file.getvalue().splitlines()
    assert first == "  available 25, held 13, paid 2, order system 0, answers 10, waiting 90"
    assert second == "  available 25, held 13, paid 2, order system 1, sold again 3"


def test_on_a_terminal_the_frame_is_gone_afterwards() -> None:
    console = Console(file=StringIO(), width=90, force_terminal=True)
    with View(console, Scene("Shoes", 10, 2)) as view:
        view.changed()
        view.say("a line that stays")
    assert isinstance(console.file, StringIO)
    written = console.file.getvalue()
    assert "Shoes" in written
    assert "a line that stays" in written
    assert "\x1b[2K" in written, "the frame was erased"
