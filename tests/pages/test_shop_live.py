"""How the pages follow a sale: streams that are quiet, held back or refused, and what falls back on questions."""

import json
from typing import Any, Final

import pytest

from tests.pages.conftest import OpenDevice
from tests.support.browser import Tab
from tests.support.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

REPLAY: Final = """async (script) => {
  const { LiveSale } = await import("/pages/any/common/events.js");
  const real = { EventSource: window.EventSource, fetch: window.fetch, setTimeout: window.setTimeout };
  const ways = [];
  let asked = 0;
  let source = null;
  let timers = [];
  // A clock of its own: a timer is run when the script says so, the earliest first.
  window.setTimeout = (work, ms) => { const timer = { work, ms }; timers.push(timer); return timer; };
  const clear = window.clearTimeout;
  window.clearTimeout = (timer) => { timers = timers.filter((each) => each !== timer); };
  let streams = 0;
  window.EventSource = class {
    static CLOSED = 2;
    constructor() { this.readyState = 1; source = this; streams += 1; }
    close() { this.readyState = 2; }
  };
  const view = (left) => ({ id: "s", items: [{ available: left }], server_time: new Date().toISOString() });
  let answer = { status: 200, left: 9, headers: {} };
  let [held, release] = [null, () => {}];
  window.fetch = async () => {
    asked += 1;
    await held;
    const { status, headers } = answer;
    const body = JSON.stringify(status === 200 ? view(answer.left) : { code: "busy" });
    // No Response: its body comes in other turns of the browser's own.
    return { ok: status === 200, status, headers: new Headers(headers), text: async () => body };
  };
  const feed = new LiveSale({ api: "", sale: "s", onframe: () => {}, onway: (way) => ways.push(way) });
  // Many turns of the page's work, not a length of time: what one turn begins, a later one ends.
  const rest = async () => {
    for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => real.setTimeout.call(window, resolve, 2));
  };
  feed.start();
  await rest();
  try {
    for (const [what, given] of script) {
      if (what === "frame") source.onmessage({ data: JSON.stringify(view(given)) });
      if (what === "open") source.onopen();
      if (what === "cut") source.onerror();
      if (what === "refused") { source.readyState = 2; source.onerror(); }
      if (what === "answer") answer = { status: 200, headers: {}, ...given };
      if (what === "hold") held = new Promise((resolve) => { release = resolve; });
      if (what === "release") release();
      if (what === "close") feed.close();
      if (what === "pass") {
        // The request's own time limit is no timer of the feed.
        const due = timers.filter((each) => each.ms >= given[0] && each.ms <= given[1]);
        timers = timers.filter((each) => !due.includes(each));
        for (const each of due) each.work();
      }
      await rest();
    }
    return { ways, asked, streams, waits: timers.map((each) => each.ms) };
  } finally {
    feed.close();
    Object.assign(window, { ...real, clearTimeout: clear });
  }
}"""
BARE: Final = "/pages/config.json"
"""A page without scripts of its own, which would use the same clock."""
FIRST: Final = ["pass", [14_000, 16_000]]
QUIET: Final = ["pass", [80_000, 200_000]]
LATE: Final = ["pass", [3_000, 3_000]]
AGAIN: Final = ["pass", [3_700, 6_300]]
HOLD: Final = ["hold", None]
RELEASE: Final = ["release", None]
BUSY: Final = ["answer", {"status": 503}]


async def bare(stage: Stage, devices: OpenDevice) -> Tab:
    """The page without scripts."""
    device = await devices()
    device.expects(r"/favicon\.ico")
    return await device.open(f"{stage.house.url}{BARE}")


async def replay(tab: Tab, *script: list[Any]) -> dict[str, Any]:
    """What a feed does when its stream and the server behave like this."""
    found: dict[str, Any] = json.loads(
        await tab.page.evaluate(f"async (script) => JSON.stringify(await ({REPLAY})(script))", list(script))
    )
    return found


@pytest.fixture
def steps() -> dict[str, list[list[Any]]]:
    """What happens, by the name of the case."""
    nine = ["frame", 9]
    return {
        "quiet": [nine, QUIET, QUIET, QUIET],
        "held back from the start": [FIRST],
        "held back later": [nine, ["answer", {"left": 5}], QUIET, LATE],
        "late but there": [nine, ["answer", {"left": 5}], QUIET, ["frame", 5], LATE],
        "asked and not answered": [nine, BUSY, QUIET, LATE, AGAIN, LATE],
        "not answered, then held back": [nine, BUSY, QUIET, ["answer", {"left": 5}], AGAIN, LATE],
        "has spoken while asked": [nine, ["answer", {"left": 5}], HOLD, QUIET, ["frame", 5], RELEASE, LATE],
        "refused": [["refused", None]],
        "cut once": [nine, ["cut", None], ["open", None]],
        "cut twice, taken up in between": [
            nine,
            ["cut", None],
            ["open", None],
            ["cut", None],
            ["open", None],
        ],
        "cut twice": [nine, ["cut", None], ["cut", None]],
    }


@pytest.mark.parametrize(
    ("case", "ways"),
    [
        ("quiet", ["stream"]),
        ("held back from the start", ["stream", "poll"]),
        ("held back later", ["stream", "poll"]),
        ("late but there", ["stream"]),
        ("asked and not answered", ["stream"]),
        ("not answered, then held back", ["stream", "poll"]),
        ("has spoken while asked", ["stream"]),
        ("refused", ["stream", "poll"]),
        ("cut once", ["stream"]),
        ("cut twice, taken up in between", ["stream"]),
        ("cut twice", ["stream", "poll"]),
    ],
)
async def test_how_it_is_followed(
    stage: Stage, devices: OpenDevice, steps: dict[str, list[list[Any]]], case: str, ways: list[str]
) -> None:
    tab = await bare(stage, devices)
    assert (await replay(tab, *steps[case]))["ways"] == ways


async def test_a_quiet_stream_asks_seldom(stage: Stage, devices: OpenDevice) -> None:
    """The first look, and one in each long silence."""
    tab = await bare(stage, devices)
    found = await replay(tab, ["frame", 9], QUIET, QUIET)
    assert found["asked"] == 3


async def test_a_quiet_stream_that_may_not_be_asked_about_is_kept(stage: Stage, devices: OpenDevice) -> None:
    """The server wants to be left alone for longer than the stream may be silent: nothing is asked before that is over."""
    tab = await bare(stage, devices)
    busy = ["answer", {"status": 503, "headers": {"Retry-After": "300"}}]
    found = await replay(tab, ["frame", 9], busy, QUIET, ["pass", [290_000, 310_000]], LATE)
    assert (found["ways"], found["asked"]) == (["stream"], 2)
    assert min(found["waits"]) >= 290_000


@pytest.mark.parametrize("left", [9, 5], ids=["as it was", "another"])
async def test_who_has_left_is_asked_for_no_more(stage: Stage, devices: OpenDevice, left: int) -> None:
    """The feed is closed while the answer about a quiet stream is on its way."""
    tab = await bare(stage, devices)
    answer = ["answer", {"left": left}]
    found = await replay(tab, ["frame", 9], answer, HOLD, QUIET, ["close", None], RELEASE, LATE, QUIET)
    assert (found["asked"], found["streams"], found["waits"]) == (2, 1, [])


async def test_who_is_told_to_wait_asks_later(stage: Stage, devices: OpenDevice) -> None:
    tab = await bare(stage, devices)
    busy = ["answer", {"status": 503, "headers": {"Retry-After": "30"}}]
    found = await replay(tab, ["refused", None], busy, ["pass", [3_000, 7_000]])
    assert found["asked"] == 2
    waits = [ms for ms in found["waits"] if ms < 45_000]
    assert waits
    assert min(waits) >= 29_000
