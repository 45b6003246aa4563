"""The arithmetic of the race: medians, percentiles, ratios, and whether more was sold than there was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` (0 to 1) of all values do not exceed (nearest rank); NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, slots=True)
class Middle:
    """What several rounds gave: the median, the least and the most."""

    median: float
    least: float
    most: float

    @property
    def spread(self) -> float:
        """How far apart least and most are, as a share of the median."""
        return (self.most - self.least) / self.median if self.median else math.nan


def middle(values: Sequence[float]) -> Middle:
    """Of no values, NaN."""
    if not values:
        return Middle(math.nan, math.nan, math.nan)
    return Middle(median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round: both were measured within a minute, so what drifts drops out.

    Where the rounds do not pair up, the ratio of the medians.
    """
    if not ours or not theirs:
        return math.nan
    if len(ours) == len(theirs) and all(theirs):
        return median(a / b for a, b in zip(ours, theirs, strict=True))
    return median(ours) / median(theirs) if median(theirs) else math.nan


@dataclass(frozen=True, slots=True)
class Count:
    """What the store says after a run."""

    stock: int
    left: int
    """As the counter says; below zero after an oversell that the counter noticed."""
    recorded: int
    """Units that customers were given."""

    @property
    def oversold(self) -> int:
        """Units given to customers that were never there."""
        return max(0, self.recorded - self.stock)

    @property
    def adrift(self) -> int:
        """Units by which the counter and the reservations disagree."""
        return abs(self.stock - self.left - self.recorded)
