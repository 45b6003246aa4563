"""How findings name things: the first few, and how many there are."""

from collections.abc import Iterable, Sized
from typing import Final

NAMED_MAX: Final = 5
"""A finding names this many culprits and counts the rest."""


def named(names: Iterable[object]) -> str:
    """The first few, and how many more."""
    texts = [str(name) for name in names]
    rest = f" and {len(texts) - NAMED_MAX:,} more" if len(texts) > NAMED_MAX else ""
    return ", ".join(texts[:NAMED_MAX]) + rest


def counted(things: Sized | int, one: str, many: str = "") -> str:
    """How many of what there are."""
    count = things if isinstance(things, int) else len(things)
    return f"{count:,} {one if count == 1 else many or one + 's'}"
