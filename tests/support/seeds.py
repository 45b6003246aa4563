"""The seed of the tests that kill, lose and mix up at random: one for the whole run, printed wherever it is used."""

import os
import random
import sys
from typing import Final

CI_SEED: Final = 417_721
"""Where CI is set: a change is judged by the same kills as the change before it."""


def seed_of_run() -> int:
    """What FLASHSALE_TEST_SEED says, which repeats a run; otherwise another one in each run, but for CI."""
    named = os.environ.get("FLASHSALE_TEST_SEED")
    if named:
        return int(named)
    return CI_SEED if os.environ.get("CI") else random.SystemRandom().randrange(1_000_000)


def say(seed: int, about: str = "") -> None:
    """Prints it, so that a failure can be repeated."""
    sys.stderr.write(f"FLASHSALE_TEST_SEED={seed}{about}\n")
