"""Reports: that they say what the verdict says, load nothing, and cannot be made to run anything."""

import os
import re
from pathlib import Path

import msgspec
import pytest

from flashsale.verdict import evidence as evidence_file
from flashsale.verdict.evidence import Engine, Evidence, Feed, Item, Levels, LoadProcess, Terms, Told
from flashsale.verdict.judge import judge
from flashsale.verdict.numbers import number
from flashsale.verdict.report import MissingExtraError, ensure_installed, write
from flashsale.verdict.report.pictures import drawn, planned
from flashsale.verdict.report.plot import PALETTE
from flashsale.verdict.shapes import Verdict
from tests.verdict.honest_sale import T0_MS
from tests.verdict.made_run import Plan, made_run
from tests.verdict.page import Page, page_of

NAMES = ["report.html", "report.md", "report.json", "evidence.json"]
LEVELS = Levels(reserve_p99_ms=500, share_5xx=0.001, sell_out_seconds=5, fire_late_p99_ms=50)
HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.test/x onerror=alert(2)> | `x` *b* [l](http://evil.test)"


def empty_run() -> Evidence:
    """Nobody pressed, and nothing could be read."""
    made = made_run(Plan(shoppers=3, units=1))
    engine = Engine("scheduled", {}, False, [], [], trouble=["GET /v1/sales/giulia-milano/events: 503"])
    return Evidence(
        made.run, made.terms, Told(), engine, Feed(trouble=["GET /v1/orders: the connection ended"])
    )


def red_run() -> Evidence:
    """An order that everybody knows of is not in the feed."""
    made = made_run(Plan(shoppers=60, units=20))
    del made.feed.orders[7]
    return made


def large_run() -> Evidence:
    """Fifteen thousand presses, and a hundred load processes on ten machines."""
    made = made_run(Plan(shoppers=3_000, units=2_000, patience_ms=10_000))
    one = made.processes[0]
    made.processes = [msgspec.structs.replace(one, name=f"load-{number:03}") for number in range(100)]
    return made


RUNS = {
    "green": made_run(Plan(shoppers=300, units=40, answers_per_second=3_000)),
    "red": red_run(),
    "empty": empty_run(),
    "large": large_run(),
    "refunds": made_run(Plan(shoppers=200, units=30, refund=0.3)),
}


@pytest.fixture(scope="module", params=RUNS)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Evidence, Verdict]:
    run = RUNS[request.param]
    directory, verdict = tmp_path_factory.mktemp(request.param), judge(run, LEVELS)
    assert write(directory, run, LEVELS, verdict) == [directory / name for name in NAMES]
    return directory, run, verdict


Written = tuple[Path, Evidence, Verdict]


def test_there_are_four_files_and_no_others(written: Written) -> None:
    assert sorted(path.name for path in written[0].iterdir()) == sorted(NAMES)


def test_the_verdict_is_on_top(written: Written) -> None:
    directory, _, verdict = written
    page, text = page_of(directory / "report.html"), (directory / "report.md").read_text(encoding="utf-8")
    word, other = ("OK", "WRONG") if verdict.ok else ("WRONG", "OK")
    assert page.text.startswith(f"{word}: ")
    assert text.startswith(f"# {'✓' if verdict.ok else '✗'} {word}: ")
    assert f" {other} " not in page.text
    classes = next(attributes["class"] for tag, attributes in page.tags if tag == "body")
    assert classes == word.lower()


def test_the_three_numbers_stand_together_everywhere(written: Written) -> None:
    directory, _, verdict = written
    one = verdict.figures
    three = [number(count) for count in (one.accepted, one.sold_out_answers, one.sales)]
    named = page_of(directory / "report.html").named()
    assert [named[name] for name in ("requests accepted", "sold-out answers", "sales")] == three
    text = (directory / "report.md").read_text(encoding="utf-8")
    assert (
        f"| requests accepted | sold-out answers | sales |\n| ---: | ---: | ---: |\n| {' | '.join(three)} |"
        in text
    )
    figures = msgspec.json.decode((directory / "report.json").read_bytes())["figures"]
    assert [figures[name] for name in ("accepted", "sold_out_answers", "sales")] == [
        one.accepted,
        one.sold_out_answers,
        one.sales,
    ]


def test_every_finding_and_level_is_in_all_of_them(written: Written) -> None:
    directory, run, verdict = written
    page, text = (
        page_of(directory / "report.html"),
        plain((directory / "report.md").read_text(encoding="utf-8")),
    )
    whole = msgspec.json.decode((directory / "report.json").read_bytes())
    said = [finding for check in verdict.checks for finding in check.findings]
    said += [check.question for check in verdict.checks] + verdict.warnings
    said += [words for level in verdict.levels for words in (level.wanted, level.measured)]
    for words in said:
        assert " ".join(words.split()) in page.text
        assert " ".join(words.split()) in text
    assert [check["findings"] for check in whole["verdict"]["checks"]] == [
        one.findings for one in verdict.checks
    ]
    assert [check["ok"] for check in whole["verdict"]["checks"]] == [one.ok for one in verdict.checks]
    assert whole["verdict"]["levels"] == msgspec.to_builtins(verdict.levels)
    assert whole["verdict"]["warnings"] == verdict.warnings
    for part in ("run", "terms", "processes"):
        assert whole[part] == msgspec.to_builtins(getattr(run, part))
    assert whole["figures"] == msgspec.to_builtins(verdict.figures)
    assert whole["levels"] == msgspec.to_builtins(LEVELS)


def test_figures_and_latencies_are_the_verdicts(written: Written) -> None:
    directory, _, verdict = written
    one, page = verdict.figures, page_of(directory / "report.html")
    named = page.named()
    assert named["Units sold"] == f"{number(one.sold_units)} of {number(one.stock)}"
    assert named["Holds"] == number(one.holds)
    assert named["Expired, cancelled"] == f"{number(one.expired)}, {number(one.cancelled)}"
    assert named["Pressed, decided"] == f"{number(one.pressed)}, {number(one.decided)}"
    cells = [text for tag, text in page.cells if tag == "td"]
    for request, took in one.latency.items():
        assert cells[cells.index(request) + 1] == number(took.count)


def test_advice_is_in_all_of_them(written: Written) -> None:
    directory, _, _ = written
    whole = msgspec.json.decode((directory / "report.json").read_bytes())
    page, text = (
        page_of(directory / "report.html"),
        plain((directory / "report.md").read_text(encoding="utf-8")),
    )
    for advice in whole["advice"]:
        assert advice["title"] in page.text
        assert advice["title"] in text
        assert advice["text"].replace("`", "") in page.text


def test_the_series_behind_each_picture_are_in_the_json(written: Written) -> None:
    directory, _, verdict = written
    whole = msgspec.json.decode((directory / "report.json").read_bytes())
    page = page_of(directory / "report.html")
    figures = {attributes["id"] for tag, attributes in page.tags if tag == "figure"}
    assert set(whole["series"]) == figures >= {"units", "answers", "latency", "fates", "payment_pace"}
    for one in whole["series"].values():
        assert all(len(row) == len(one["x_ms"]) for row in one["rows"].values())
    if verdict.figures.holds:
        assert whole["series"]["fates"]["rows"]["held"][-1] == verdict.figures.holds


def test_the_evidence_reads_back_as_it_was(written: Written) -> None:
    directory, run, _ = written
    read = evidence_file.decode((directory / "evidence.json").read_bytes())
    assert evidence_file.encode(read) == evidence_file.encode(run)


def test_a_page_is_small(written: Written) -> None:
    directory, _, _ = written
    assert (directory / "report.html").stat().st_size < 300_000
    assert (directory / "report.json").stat().st_size < 150_000


def test_a_page_loads_nothing(written: Written) -> None:
    assert_loads_nothing(page_of(written[0] / "report.html"))


def test_pictures_are_well_formed_and_have_ids_of_their_own(written: Written) -> None:
    page = page_of(written[0] / "report.html")
    pictures = page.pictures()
    assert len(pictures) == page.source.count('<svg role="img"')
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([\w-]+)', page.source)
    assert set(used) <= set(ids)
    assert all("viewBox" in picture.attrib for picture in pictures)


def test_pictures_have_the_colours_and_the_letters_of_the_page(written: Written) -> None:
    source = (written[0] / "report.html").read_text(encoding="utf-8")
    for svg in re.findall(r"<svg role=.*?</svg>", source, re.DOTALL):
        assert not re.search(r"(?:fill|stroke): #", svg)
        assert "font-family" not in svg
        assert "<text" in svg


def test_what_came_from_outside_is_only_text(tmp_path: Path) -> None:
    made = RUNS["red"]
    run = msgspec.structs.replace(
        made.run,
        profile=HOSTILE,
        host=HOSTILE,
        machine=HOSTILE,
        versions={HOSTILE: HOSTILE},
        options={HOSTILE: HOSTILE},
    )
    terms = msgspec.structs.replace(made.terms, title=HOSTILE, items=[Item(HOSTILE, 20)])
    processes = [msgspec.structs.replace(made.processes[0], name=HOSTILE)]
    told = msgspec.structs.replace(made.told, bots={HOSTILE: 3})
    hostile = msgspec.structs.replace(made, run=run, terms=terms, processes=processes, told=told)
    verdict = judge(hostile, LEVELS)
    checks = [msgspec.structs.replace(one, findings=[HOSTILE]) for one in verdict.checks]
    latency = {HOSTILE: verdict.figures.latency["reserve"]}
    verdict = msgspec.structs.replace(
        verdict,
        checks=checks,
        warnings=[HOSTILE],
        figures=msgspec.structs.replace(verdict.figures, latency=latency),
    )
    html, text = write(tmp_path, hostile, LEVELS, verdict)[:2]
    page = page_of(html)
    assert_loads_nothing(page)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script>\"'><img src=http://evil.test/x onerror=alert(2)>" in page.text
    shown = re.sub(r"`[^`]*`", "", text.read_text(encoding="utf-8"))
    assert not re.search(r"(?<!\\)<(?!br>)", shown)
    assert not re.search(r"(?<!\\)\]\(", shown)
    rows = [line for line in shown.splitlines() if line.startswith("| **✗")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) in {4, 5} for row in rows)


def test_a_red_report_says_what_to_look_at_first(tmp_path: Path) -> None:
    verdict = judge(RUNS["red"], LEVELS)
    broken = next(check for check in verdict.checks if not check.ok)
    page = page_of(write(tmp_path, RUNS["red"], LEVELS, verdict)[0])
    assert f"Look at this first: {broken.question} {broken.findings[0]}" in page.text
    assert page.text.index("Look at this first") < page.text.index("requests accepted")
    assert page.text.count("✗ WRONG") == 2


def test_what_could_not_be_read_comes_before_what_may_follow_from_it(tmp_path: Path) -> None:
    page = page_of(write(tmp_path, RUNS["empty"], LEVELS, judge(RUNS["empty"], LEVELS))[0])
    assert "Look at this first: What could not be read GET /v1/sales/giulia-milano/events: 503" in page.text


def test_a_missed_level_alone_is_named_first(tmp_path: Path) -> None:
    levels = Levels(reserve_p99_ms=0.01)
    verdict = judge(RUNS["green"], levels)
    assert [check.name for check in verdict.checks if not check.ok] == []
    page = page_of(write(tmp_path, RUNS["green"], levels, verdict)[0])
    assert "1 of 2 service levels missed: p99 of reserve." in page.text
    assert "Look at this first: p99 of reserve Measured" in page.text


def test_many_load_processes_are_not_all_shown_but_all_kept(written: Written) -> None:
    directory, run, _ = written
    page = page_of(directory / "report.html")
    rows = [text for tag, text in page.cells if tag == "td" and text.startswith("load-")]
    assert len(rows) == min(len(run.processes), 24)
    if len(run.processes) > 24:
        assert f"{len(run.processes) - 24} more are in report.json" in page.text


def test_an_hour_of_a_busy_sale_is_a_small_page(tmp_path: Path) -> None:
    made = made_run(Plan(shoppers=100, units=20))
    terms = Terms("soak", "An hour", T0_MS, 60_000, [Item("giulia", 1_000_000)], "EUR")
    facts, told = made.engine.facts, made.told
    journal = [facts[0], facts[1]]
    held = next(fact for fact in facts if fact.type == "reservation.held")
    for at in range(10_000):
        who = f"r-{at}"
        for kind, late in (("reservation.held", 0), ("reservation.expired", 60_000)):
            instant = T0_MS + at * 355 + late
            journal.append(msgspec.structs.replace(held, at_ms=instant, type=kind, reservation=who))
    journal.sort(key=lambda fact: fact.at_ms)
    journal = [msgspec.structs.replace(fact, seq=seq) for seq, fact in enumerate(journal, 1)]
    kinds = ("held", "replayed", "sold_out", "limit_reached", "busy", "failed", "silence")
    told.timeline.answers = {kind: dict.fromkeys(range(36_000), 7) for kind in kinds}
    told.timeline.latency = {"reserve": {bucket: {5 + bucket % 90: 6, 120: 1} for bucket in range(36_000)}}
    run = msgspec.structs.replace(made.run, ended_ms=T0_MS + 3_660_000)
    soak = Evidence(run, terms, told, Engine("open", {}, True, [], journal), made.feed, made.processes)
    html, _, figures, _ = write(tmp_path, soak, LEVELS, judge(soak, LEVELS))
    assert html.stat().st_size < 300_000
    assert figures.stat().st_size < 150_000
    assert "minutes since T0" in page_of(html).text


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_the_extra_the_json_is_kept_and_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    wanted = rf"{package}: pip install 'flashsale\[load\]'"
    with pytest.raises(MissingExtraError, match=wanted):
        ensure_installed()
    with pytest.raises(MissingExtraError, match=wanted):
        write(tmp_path, RUNS["green"], LEVELS, judge(RUNS["green"], LEVELS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evidence.json", "report.json"]


def test_with_the_extra_a_report_can_be_written() -> None:
    ensure_installed()


def test_a_report_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = judge(RUNS["green"], LEVELS)
    page = write(tmp_path, RUNS["green"], LEVELS, verdict)[0]
    before = page.read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as half:
            half.write(content[: len(content) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, RUNS["red"], LEVELS, judge(RUNS["red"], LEVELS))
    assert page.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_a_process_that_lasted_no_time_has_no_share(tmp_path: Path) -> None:
    made = made_run(Plan(shoppers=10, units=5))
    made.processes = [LoadProcess("load-1", 0.0, 0.0, 0.0, 10, 10, 0.0, 0.0, 0.0, 0.0)]
    assert "load-1" in page_of(write(tmp_path, made, LEVELS, judge(made, LEVELS))[0]).text


def test_the_same_evidence_makes_the_same_report() -> None:
    run = RUNS["green"]
    verdict = judge(run, LEVELS)
    plans = [planned(run, verdict) for _ in range(2)]
    first, second = (drawn(plan) for plan in plans)
    assert [one.svg for one in first] == [one.svg for one in second]


def test_no_two_colours_are_the_same() -> None:
    assert len({light.lower() for light, _ in PALETTE.values()}) == len(PALETTE)


def assert_loads_nothing(page: Page) -> None:
    """No address of anything but a part of the page itself, and no program."""
    loading = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"}
    assert not loading & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href", "xlink:href", "action", "data", "srcset"}:
                assert value.startswith("#"), (tag, name, value)
    assert "@import" not in page.source
    assert set(re.findall(r"url\((.)", page.source)) <= {"#"}


def plain(markdown: str) -> str:
    """Markdown in one line, without its escapes."""
    return " ".join(re.sub(r"\\(.)", r"\1", markdown.replace("<br>", " ")).split())
