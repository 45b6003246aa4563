"""The verdict on a run: found, written as a report, and said on the terminal."""

from pathlib import Path
from typing import Any

from flashsale.verdict.evidence import Evidence, Levels
from flashsale.verdict.judge import judge
from flashsale.verdict.report import write
from flashsale.verdict.shapes import Verdict


def levels_of(options: Any) -> Levels:
    """The service levels that were asked for."""
    percent = options.level_5xx_percent
    return Levels(
        reserve_p99_ms=options.level_p99_ms,
        share_5xx=percent / 100 if percent is not None else None,
        sell_out_seconds=options.level_sell_out_seconds,
        silences=options.level_silences,
        fire_late_p99_ms=options.level_late_ms,
    )


def conclude(evidence: Evidence, options: Any, directory: Path) -> Verdict:
    """Finds the verdict, prints it in short, and writes the report into the folder."""
    levels = levels_of(options)
    verdict = judge(evidence, levels)
    print("\n".join(_lines(evidence, verdict)))
    paths = write(directory, evidence, levels, verdict)
    print(f"Report: {', '.join(str(path) for path in paths)}")
    return verdict


def _lines(evidence: Evidence, verdict: Verdict) -> list[str]:
    figures = verdict.figures
    lines = [
        "",
        f"Verdict on {evidence.terms.sale}: {'OK' if verdict.ok else 'WRONG'}",
        f"  {figures.accepted:,} requests accepted, {figures.sold_out_answers:,} sold-out answers, {figures.sales:,} sales",
    ]
    for check in verdict.checks:
        lines.append(f"  {'ok   ' if check.ok else 'WRONG'} {check.name}: {check.question}")
        lines += [f"          {finding}" for finding in check.findings]
    for level in verdict.levels:
        lines.append(
            f"  {'ok   ' if level.ok else 'WRONG'} {level.name}: {level.measured} (wanted {level.wanted})"
        )
    for process in evidence.processes:
        lines.append(
            f"  load  {process.name}: {process.fired:,} shoppers fired, {process.fired_in_first_second:,} within 1 s of T0, "
            f"late by p50 {process.late_p50_ms:.1f} / p99 {process.late_p99_ms:.1f} ms; "
            f"{process.rush_cpu_share:.0%} of a core in the rush, {process.cpu_seconds:.1f} s CPU in all"
        )
    lines += [f"  note  {warning}" for warning in verdict.warnings]
    return lines
