"""Whether the server kept up with the crowd, and what it takes if it did not."""

from collections.abc import Iterator
from math import ceil
from typing import Final

from flashsale.verdict import pace
from flashsale.verdict.advice.said import Advice, Measured
from flashsale.verdict.evidence import Evidence
from flashsale.verdict.numbers import count, duration, number, percent
from flashsale.verdict.pace import Queue
from flashsale.verdict.shapes import Percentiles, Verdict

WANTED_P99_MS: Final = 500.0
"""What is taken for fast enough when the run was given no level: who has pressed does not press again before that."""
NOT_WORKERS: Final = 1.1
"""A server that would have to answer less than this many times as fast is not short of workers."""


def workers(evidence: Evidence, verdict: Verdict) -> Iterator[Advice]:
    """How many workers this crowd takes; nothing when nobody pressed."""
    level = next((level.limit for level in verdict.levels if level.name == "reserve_p99_ms"), None)
    queue = pace.queue(evidence.told.timeline, level if level is not None else WANTED_P99_MS)
    took = verdict.figures.latency.get("reserve")
    if queue is None or took is None:
        return
    facts = [
        Measured("presses per second, at most", round(queue.presses_per_second)),
        Measured("answers per second, at most", round(queue.answers_per_second)),
        Measured("presses waiting at a time, at most", queue.waiting_max),
        Measured("p99 of reserve", took.p99, "ms"),
        Measured("p99 wanted", queue.wanted_ms, "ms"),
    ]
    if pace.load_was_the_limit(evidence):
        yield _load_was_the_limit(evidence, facts)
    elif took.p99 <= queue.wanted_ms:
        yield _kept_up(evidence, queue, took, facts)
    else:
        facts.append(Measured("answers per second needed", round(queue.needed_per_second)))
        yield _more_needed(evidence, queue, took, facts)


def _load_was_the_limit(evidence: Evidence, facts: list[Measured]) -> Advice:
    share = max(one.rush_cpu_share for one in evidence.processes)
    late_ms = max(one.late_p99_ms for one in evidence.processes)
    text = (
        f"The busiest load process used {percent(share)} of a core in the rush, and presses left up to {duration(late_ms)} "
        "late (p99). So the latencies are the load's as well as the server's, and nothing follows for the number of server "
        "workers. Spread the crowd over more processes or machines."
    )
    cost = [
        Measured("CPU share of the busiest load process", share, "share"),
        Measured("presses left late by, p99", late_ms, "ms"),
    ]
    return Advice("unknown", "The load was at its limit", text, facts + cost)


def _kept_up(evidence: Evidence, queue: Queue, took: Percentiles, facts: list[Measured]) -> Advice:
    text = (
        f"{count(queue.presses, 'press', 'presses')}, up to {number(round(queue.presses_per_second))} a second, were "
        f"answered with a p99 of {duration(took.p99)}; at most {duration(queue.wanted_ms)} is wanted. A crowd like this one "
        f"needs no more workers. How much larger a crowd could be, this run does not tell.{_shared(evidence)}"
    )
    return Advice("fine", "The server kept up with this crowd", text, facts)


def _more_needed(evidence: Evidence, queue: Queue, took: Percentiles, facts: list[Measured]) -> Advice:
    factor = queue.needed_per_second / queue.answers_per_second
    best = number(round(queue.answers_per_second))
    if factor <= NOT_WORKERS:
        text = (
            f"The p99 of reserve is {duration(took.p99)}, and at most {duration(queue.wanted_ms)} is wanted. At its best "
            f"the server gave {best} answers a second, which is enough for this crowd, so more workers alone may not help: "
            f"look at what slowed it down at times.{_shared(evidence)}"
        )
        return Advice("act", "Answers took long, and not for want of workers", text, facts)
    text = (
        f"Answers queued: up to {number(queue.waiting_max)} presses waited at a time, and the p99 was {duration(took.p99)}. "
        f"The server gave {best} answers a second at its best; for {duration(queue.wanted_ms)} it takes "
        f"{number(round(queue.needed_per_second))}. That is {_so_many(evidence, factor)}, if each has a core of its own and "
        f"Redis or Valkey keeps up.{_shared(evidence)}"
    )
    return Advice("act", "More server workers for this crowd", text, facts)


def _so_many(evidence: Evidence, factor: float) -> str:
    now = evidence.run.options.get("server_workers")
    if isinstance(now, int) and now > 0:
        return f"{count(ceil(now * factor), 'worker')} instead of {number(now)}"
    return f"{number(ceil(factor * 10) / 10)} times as many workers as it has"


def _shared(evidence: Evidence) -> str:
    if not pace.on_this_machine(evidence):
        return ""
    return " Server and load shared this machine; by itself the server has more of it, so this is the worst case."
