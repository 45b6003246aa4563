"""Writes a report: a page, the same as Markdown, its numbers as JSON, and the evidence."""

import os
import re
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flashsale.verdict import evidence as evidence_file
from flashsale.verdict.advice import Advice, advise
from flashsale.verdict.evidence import Evidence, Levels
from flashsale.verdict.report import series
from flashsale.verdict.report.extra import MissingExtraError
from flashsale.verdict.report.pictures import Picture, drawn, planned
from flashsale.verdict.report.plot import PALETTE
from flashsale.verdict.report.series import Series
from flashsale.verdict.report.view import context
from flashsale.verdict.shapes import Verdict

if TYPE_CHECKING:
    from jinja2 import Environment


def write(directory: Path, evidence: Evidence, levels: Levels, verdict: Verdict) -> list[Path]:
    """Writes `report.html`, `report.md`, `report.json` and `evidence.json`, each at once or not at all.

    The JSON comes first: it needs no extra, and a report can be made of it again.

    Returns:
        The paths, the page first.

    Raises:
        MissingExtraError: matplotlib or Jinja is not installed. The two JSON files are written.
        OSError: they cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    page, text, figures, facts = (
        directory / name for name in ("report.html", "report.md", "report.json", "evidence.json")
    )
    advice = advise(evidence, verdict)
    _replace(facts, evidence_file.encode(evidence))
    pictures = planned(evidence, verdict)
    _replace(figures, as_json(evidence, levels, verdict, advice, pictures))
    shown = context(evidence, verdict, advice, drawn(pictures), series.moments(evidence))
    _replace(page, as_html(shown).encode())
    _replace(text, as_markdown(shown).encode())
    return [page, text, figures, facts]


def as_json(
    evidence: Evidence, levels: Levels, verdict: Verdict, advice: list[Advice], pictures: list[Picture]
) -> bytes:
    """The numbers of the report, and the series behind its pictures; a value that is not there is null."""
    whole: dict[str, Any] = {
        "verdict": {
            "ok": verdict.ok,
            "checks": [
                {"name": one.name, "question": one.question, "ok": one.ok, "findings": one.findings}
                for one in verdict.checks
            ],
            "levels": verdict.levels,
            "warnings": verdict.warnings,
        },
        "figures": verdict.figures,
        "levels": levels,
        "run": evidence.run,
        "terms": evidence.terms,
        "processes": evidence.processes,
        "advice": advice,
        "series": {one.drawing.name: _without_nan(one.drawing.series) for one in pictures},
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def as_html(shown: dict[str, Any]) -> str:
    """The page: one file, which needs nothing else."""
    environment = _environment()
    environment.filters["code"] = _code_in_html
    palette = {
        "light": {colour: light for colour, (light, _) in PALETTE.items()},
        "dark": {colour: dark for colour, (_, dark) in PALETTE.items()},
    }
    return environment.get_template("report.html").render(shown, palette=palette)


def as_markdown(shown: dict[str, Any]) -> str:
    """The same as Markdown, without the pictures."""
    environment = _environment(finalize=_markdown)
    return environment.get_template("report.md").render(shown)


def _environment(finalize: Callable[[Any], Any] | None = None) -> "Environment":
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError as fault:
        raise MissingExtraError("report", "jinja2", "load") from fault
    return jinja2.Environment(
        loader=jinja2.PackageLoader("flashsale.verdict.report"),
        # Whatever a template puts in is escaped for its language, unasked: Markdown by `finalize`.
        autoescape=jinja2.select_autoescape(enabled_extensions=("html",), default=False),
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _code_in_html(text: str) -> Any:
    """Text with what is between backticks as code, escaped."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - comes with Jinja

    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def _markdown(value: Any) -> Any:
    """Text that Markdown shows as it is, in one line; what is between backticks stays code."""
    if not isinstance(value, str):
        return value
    parts = re.split(r"(`[^`]+`)", " ".join(value.split()))
    return "".join(
        part.replace("|", "\\|") if place % 2 else re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def _without_nan(one: Series) -> dict[str, Any]:
    rows = {name: [None if isnan(value) else value for value in row] for name, row in one.rows.items()}
    return {"x_ms": one.x_ms, "width_ms": one.width_ms, "rows": rows}


def _replace(path: Path, content: bytes) -> None:
    """Writes a file beside the path first, so that nobody ever reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
