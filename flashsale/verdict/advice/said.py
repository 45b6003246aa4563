"""What a piece of advice is."""

from typing import Literal

import msgspec

from flashsale.verdict.numbers import duration, number, percent

Kind = Literal["act", "fine", "unknown"]
"""Do something about it; good to know; cannot be concluded from this run."""


class Measured(msgspec.Struct, frozen=True):
    """A number that advice rests on."""

    name: str
    value: float
    unit: str = ""
    """ms, share (0 to 1), or nothing for a plain number."""

    def __str__(self) -> str:
        as_text = {"ms": duration, "share": percent}.get(self.unit, number)
        return f"{self.name}: {as_text(self.value)}"


class Advice(msgspec.Struct, frozen=True):
    """One thing that the run says about the sale."""

    kind: Kind
    title: str
    text: str
    facts: list[Measured]
    """What it rests on."""
