"""Random sales against the oracle. A failure prints the steps and the blob for `@reproduce_failure`, or the seed.

CI runs more of them than a developer waits for.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support import runs

CI = bool(os.environ.get("CI"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_happens_the_store_agrees_with_the_oracle(valkey: str) -> None:
    how = settings(
        max_examples=400 if CI else 120,
        stateful_step_count=40,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    runs.run(valkey, how)


@pytest.mark.parametrize("seed", range(60 if CI else 20))
def test_a_long_walk_agrees_with_the_oracle(valkey: str, seed: int) -> None:
    runs.walk(valkey, seed, steps=50)
