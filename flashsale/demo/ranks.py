"""Percentiles, by nearest rank."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order (at least one)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
