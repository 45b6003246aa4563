"""The tables that a run of the benchmarks prints, with what they were measured on."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass
class Table:
    """Rows under one title; `target` says what the rows are measured against."""

    title: str
    columns: Sequence[str]
    target: str = ""
    rows: list[Sequence[str]] = field(default_factory=list)


@dataclass
class Report:
    """All tables of one run."""

    tables: dict[str, Table] = field(default_factory=dict)
    raw: list[Mapping[str, Any]] = field(default_factory=list)
    server: str = ""

    def row(self, title: str, columns: Sequence[str], row: Sequence[str], *, target: str = "") -> None:
        """Adds a row to the table of this title."""
        self.tables.setdefault(title, Table(title, columns, target)).rows.append(row)

    def keep(self, name: str, figures: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Keeps raw figures together with Redis INFO."""
        self.server = (
            f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"
        )
        kept = {key: value for key, value in info.items() if not isinstance(value, dict | list)}
        self.raw.append({"name": name, "figures": figures, "redis_info": kept})

    def lines(self) -> list[str]:
        """The report as text."""
        if not self.tables:
            return []
        lines = ["", self.machine()]
        for table in self.tables.values():
            widths = [
                max(len(str(row[i])) for row in [table.columns, *table.rows])
                for i in range(len(table.columns))
            ]
            lines += ["", f"== {table.title}" + (f"  (target: {table.target})" if table.target else "")]
            for row in [table.columns, *table.rows]:
                cells = [
                    str(cell).rjust(width) if i else str(cell).ljust(width)
                    for i, (cell, width) in enumerate(zip(row, widths, strict=True))
                ]
                lines.append("  ".join(cells).rstrip())
        return lines

    def machine(self) -> str:
        """What was measured on."""
        model = next(
            (
                line.partition(":")[2].strip()
                for line in _read("/proc/cpuinfo").splitlines()
                if line.startswith("model name")
            ),
            platform.processor(),
        )
        parts = [
            f"{os.cpu_count()} cores ({model})",
            f"Python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "redis")),
            self.server,
            time.strftime("%Y-%m-%d", time.gmtime()),
        ]
        return "measured on: " + ", ".join(parts)

    def save(self, folder: Path) -> Path:
        """Writes everything as JSON; returns where."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
        tables = [vars(table) for table in self.tables.values()]
        path.write_text(json.dumps({"machine": self.machine(), "tables": tables, "raw": self.raw}, indent=1))
        return path


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
