"""How busy the processes of a race were between two instants, so that nobody takes one's limit for another's."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Processor time that they have used so far, user and system."""
    total = 0.0
    for each in processes:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def machine_seconds() -> tuple[float, float]:
    """Processor time of all processes so far, and the time that the host gave to other machines."""
    times = psutil.cpu_times()
    return times.user + getattr(times, "nice", 0.0) + times.system, getattr(times, "steal", 0.0)


class Meter:
    """Started at the first instant, read at the second."""

    def __init__(self, groups: Mapping[str, Sequence[psutil.Process]]) -> None:
        self._groups = dict(groups)
        self._began = time.monotonic()
        self._used, self._stolen = machine_seconds()
        self._before = {name: cpu_seconds(group) for name, group in self._groups.items()}

    def read(self) -> dict[str, float]:
        """Of each group the share of one core that it has used since; the same of everybody else, under `others`.

        `others` includes what the host gave to other machines.
        """
        seconds = time.monotonic() - self._began
        used, stolen = machine_seconds()
        shares = {
            name: (cpu_seconds(group) - self._before[name]) / seconds for name, group in self._groups.items()
        }
        everybody = (used - self._used + stolen - self._stolen) / seconds
        return {**shares, "others": max(0.0, everybody - sum(shares.values()))}
