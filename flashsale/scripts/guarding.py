"""The wrapper of `compare`, which guards sales against a store that has come back with less."""

from dataclasses import dataclass

from redis.asyncio import Redis

from flashsale.keys import SaleKeys
from flashsale.model.facts import Fact
from flashsale.model.outcomes import Compare
from flashsale.scripts.calls import run


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of the comparison of a sale with the last fact that the archive has of it."""

    outcome: Compare
    seq: int
    """The last fact that the store has."""
    oldest: int
    """The first fact that its journal still has; 0 when it has none."""


async def compare(redis: "Redis", names: SaleKeys, fact: Fact) -> Compared:
    """Compares a sale with the archive's last fact, and marks it when that is not in the journal."""
    outcome, seq, oldest = await run(
        redis, "compare", names.compared(), fact.seq, fact.at_ms, fact.type, fact.data
    )
    return Compared(Compare(outcome), seq, oldest)
