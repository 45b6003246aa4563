"""The outcome of a rehearsal in a few lines, from the report's own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


def lines(report: Path) -> Iterator[str]:
    """What a person wants to know first.

    Raises:
        OSError, ValueError, KeyError: the folder has no report that can be read.
    """
    found: dict[str, Any] = orjson.loads((report / "report.json").read_bytes())
    verdict, figures = found["verdict"], found["figures"]
    yield f"Verdict: {'every promise was kept' if verdict['ok'] else 'WRONG'}"
    yield (
        f"  {figures['accepted']:,} requests accepted, {figures['sold_out_answers']:,} sold-out answers, "
        f"{figures['sales']:,} sales"
    )
    for check in verdict["checks"]:
        if not check["ok"]:
            yield f"  WRONG {check['name']}: {check['question']}"
            yield from (f"        {finding}" for finding in check["findings"])
    for level in verdict["levels"]:
        yield f"  {'ok   ' if level['ok'] else 'WRONG'} {level['name']}: {level['measured']} (wanted {level['wanted']})"
    yield from (f"  note  {warning}" for warning in verdict["warnings"])
    if found["advice"]:
        yield "Advice:"
        yield from (f"  {'do' if one['kind'] == 'act' else '- '}  {one['title']}" for one in found["advice"])
