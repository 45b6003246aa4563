"""What a race found, as it is kept in JSON and shown in tables."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.race.arithmetic import Middle, middle
from bench.race.arrivals import Arrived
from bench.race.field import by_key
from bench.race.heat import Heat

RAW = "race.json"


@dataclass
class Results:
    """All rounds of a race."""

    machine: str
    versions: str
    cores: str
    seconds: float
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))
    heats: dict[str, list[Heat]] = field(default_factory=dict)
    """By contender, in the order of the rounds."""
    halves: dict[str, list[Arrived]] = field(default_factory=dict)
    script_limit: dict[str, float] = field(default_factory=dict)
    """What the store does of the contenders' script with nobody in between."""
    missing: dict[str, str] = field(default_factory=dict)
    """Contenders that could not be raced here, and why."""
    faults: list[str] = field(default_factory=list)

    def rates(self, key: str) -> list[float]:
        """Reservations a second of each round."""
        return [heat.peak.rate for heat in self.heats.get(key, [])]

    def rate(self, key: str) -> Middle:
        return middle(self.rates(key))

    def server_micros(self, key: str) -> Middle:
        """Processor time of the server for a reservation, in microseconds."""
        return middle(
            [
                heat.peak.server_share / heat.peak.rate * 1e6
                for heat in self.heats.get(key, [])
                if heat.peak.rate
            ]
        )

    def store_micros(self, key: str) -> Middle:
        """The same of the store."""
        return middle(
            [
                heat.peak.store_share / heat.peak.rate * 1e6
                for heat in self.heats.get(key, [])
                if heat.peak.rate
            ]
        )

    def oversold(self, key: str) -> list[int]:
        """Units sold that were never there, in the sell-out of each round."""
        return [heat.sell_out_count.oversold + heat.peak_count.oversold for heat in self.heats.get(key, [])]

    def add(self, heat: Heat) -> None:
        """Keeps a heat, and whatever makes its figure worthless."""
        self.heats.setdefault(heat.contender, []).append(heat)
        self.faults += heat.faults(wrong=by_key(heat.contender).wrong)

    def save(self, folder: Path) -> Path:
        """Writes everything as JSON; returns where."""
        path = folder / RAW
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        return path


def save_json(path: Path, figures: Any) -> None:
    """Figures of another part of the race."""
    path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
