"""What is wrong with an input: every fault at once, each with its place."""

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import ValidationError


class Fault(NamedTuple):
    """One fault: the path to the value (keys and indexes), and what is wrong with it."""

    path: tuple[str | int, ...]
    detail: str

    @property
    def field(self) -> str:
        """`items[0].quantity`; the whole input is ``."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    @property
    def pointer(self) -> str:
        """JSON pointer as a URI fragment: `#/items/0/quantity`."""
        return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)


class InvalidError(ValueError):
    """An input with one or more faults."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field or 'input'}: {fault.detail}" for fault in self.faults))


def from_pydantic(error: ValidationError) -> list[Fault]:
    """The faults of a failed pydantic validation, in its order."""
    return [
        Fault(tuple(e["loc"]), e["msg"].removeprefix("Value error, "))
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
