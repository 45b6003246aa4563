"""`python -m bench.race`: race, draw, and say what came of it.

Exits with 1 when a figure is worthless, with 2 when nothing could be run.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.race import numbers as asked
from bench.race.builds import ready
from bench.race.crowd import write_tokens
from bench.race.curves import STEPS, curves_table, measure_curves, raw, weigh
from bench.race.field import FIELD, OURS, ROOT, Contender, by_key
from bench.race.half import ArrivalsError, run_half
from bench.race.heat import WARM_CUSTOMERS, Track, run_heat
from bench.race.machine import among_the_rest, describe_machine, find_cores, said_by, versions
from bench.race.picture import draw
from bench.race.publish import publish_picture, publish_table
from bench.race.results import Results, save_json
from bench.race.script_limit import measure as measure_script
from bench.race.table import notes, race_table
from flashsale.process.embedded import bundled_server

MOST_CUSTOMERS_A_SECOND = 90_000
"""More than any contender with a store answers here; the limits come round to the first customer again, and do not mind."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.race",
        description="Race the server against what others would build, one core each.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender has its turn (5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run that counts (4)")
    parser.add_argument(
        "--only", default="", help="contenders, by commas: " + ", ".join(each.key for each in FIELD)
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of a second: whether it works, not how fast it is"
    )
    parser.add_argument("--no-half", action="store_true", help="leave out the latency at half load")
    parser.add_argument(
        "--numbers", action="store_true", help="measure the numbers that were asked for, instead of racing"
    )
    parser.add_argument("--curves", action="store_true", help="measure the growth curves, instead of racing")
    parser.add_argument(
        "--curve", action="append", choices=list(STEPS), help="only this curve; may be repeated"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "flashsale-race", help="folder of what is built and found"
    )
    parser.add_argument(
        "--publish", action="store_true", help="put table and picture into docs/performance.md as well"
    )
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    try:
        chosen = [by_key(key) for key in options.only.split(",") if key] or list(FIELD)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    if shutil.which("wrk") is None:
        print(
            "The race needs wrk, which makes the load. Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk.",
            file=sys.stderr,
        )
        return 2
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    customers = WARM_CUSTOMERS + int(MOST_CUSTOMERS_A_SECOND * max(options.seconds, 1.0))
    tokens = write_tokens(options.output / "tokens.txt", customers)
    track = Track(find_cores(), options.output, tokens, customers, options.seconds)
    if options.curves or options.curve:
        return grow(options, track)
    if options.numbers:
        return answer(options, track)
    return race(options, track, chosen)


def race(options: argparse.Namespace, track: Track, chosen: Sequence[Contender]) -> int:
    """The race itself."""
    found, missing = ready(chosen, options.output)
    for key, why in missing.items():
        print(f"not raced: {key}: {why}")
    results = Results(
        describe_machine(), _versions(), track.cores.describe(), options.seconds, missing=missing
    )
    with among_the_rest(track.cores):
        for number in range(options.rounds):
            for contender in found:
                heat = run_heat(contender, track)
                results.add(heat)
                print(f"round {number + 1}: {contender.key:22} {heat.peak.rate:10,.0f} a second", flush=True)
        if not options.no_half:
            for _ in range(max(1, options.rounds // 2)):
                for contender in found:
                    if rate := results.rate(contender.key).median:
                        try:
                            arrived = run_half(contender, track, rate / 2)
                        except ArrivalsError as error:  # its column stays empty; the race goes on
                            print(f"half load: {contender.key}: {error}", file=sys.stderr)
                            continue
                        results.halves.setdefault(contender.key, []).append(arrived)
        results.script_limit = measure_script(track.cores)
    results.save(options.output)
    table = f"{race_table(results)}\n\n{notes(results)}"
    (options.output / "race.md").write_text(table + "\n", encoding="utf-8")
    paths = draw(results, options.output)
    own = asked.numbers_table(asked.race_rows(results))
    print(f"\n{table}\n\n{own}\n\nkept in {options.output}: race.md, race.json, race.svg, race.png")
    if options.publish:
        publish_table("table", table)
        publish_table("ratios", own)
        publish_picture(paths[0])
    return 1 if results.faults else 0


def answer(options: argparse.Namespace, track: Track) -> int:
    """The numbers that were asked for and that the race does not answer."""
    found = asked.Measured()
    for number in range(options.rounds):
        asked.one_round(track, found, by_key(OURS))
        print(f"round {number + 1} of {options.rounds} is over", flush=True)
    save_json(options.output / "numbers.json", found.raw())
    table = asked.numbers_table(asked.own_rows(found))
    (options.output / "numbers.md").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}")
    if options.publish:
        publish_table("numbers", table)
    return 0


def grow(options: argparse.Namespace, track: Track) -> int:
    """The growth curves."""
    steps = {name: STEPS[name] for name in options.curve or STEPS}
    curves = measure_curves(by_key(OURS), track, steps)
    weight = None if options.curve else weigh(by_key(OURS), track)
    save_json(options.output / "curves.json", raw(curves, weight))
    table = curves_table(curves, weight)
    (options.output / "curves.md").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}")
    if options.publish:
        publish_table("curves", table)
    return 0


def _versions() -> str:
    """Of Python's packages, and of what is no package."""
    go = said_by("go", "version").removeprefix("go version ").split(" ")[0].removeprefix("go")
    node = said_by("node", "--version").removeprefix("v")
    valkey = said_by(str(bundled_server()), "--version").partition("v=")[2].split(" ")[0]
    found = {"Valkey": valkey, "Go": go, "Node": node}
    return versions([f"{name} {number}" for name, number in found.items() if number])


if __name__ == "__main__":
    sys.exit(main())
