"""The twin that is rehearsed in the place of a sale: its definition, under an id of its own, marked as a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from flashsale.model.faults import InvalidError
from flashsale.model.ids import is_sale_id
from flashsale.model.sale import SaleDefinition, parse_definition

ID_CHARACTERS_MAX: Final = 63
OPENS_AT: Final = "2030-01-01T00:00:00Z"
"""Stands for the instant that the crowd's barrier will decide."""

SHOWN_ONLY: Final = frozenset({"id", "state", "server_time", "next_release_at"})
"""What the view of a sale has beside its definition."""


class TwinError(Exception):
    """There is nothing that could be rehearsed; the message says why."""


@dataclass(frozen=True)
class Twin:
    """What is rehearsed."""

    original: str
    """Id of the sale that it stands for."""
    sale: str
    """Its own id."""
    definition: SaleDefinition
    """With the rehearsal's stock and holds; it opens when the crowd is there."""

    @property
    def units(self) -> int:
        """Units for sale, of all items together."""
        return sum(item.stock for item in self.definition.items)

    def write(self, path: Path) -> None:
        """Writes the definition, as the crowd reads it."""
        path.write_bytes(orjson.dumps(orjson.loads(self.definition.canonical()), option=orjson.OPT_INDENT_2))


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """The id and the definition of a sale from a file, as `flashsale sale put` takes it.

    Raises:
        TwinError: the file has none.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except OSError as fault:
        raise TwinError(f"cannot read {path}: {fault.strerror or fault}") from fault
    except orjson.JSONDecodeError as fault:
        raise TwinError(f"{path} is not JSON: {fault}") from fault
    if not isinstance(data, dict):
        raise TwinError(f"{path} holds no JSON object, and so no definition of a sale")
    sale = data.pop("id", path.stem)
    if not isinstance(sale, str) or not is_sale_id(sale):
        raise TwinError(
            f'{sale!r} cannot be the id of a sale: name the file so that it can, or give the definition an "id"'
        )
    return sale, data


def of_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The definition of a sale that exists, from its public view: with the stock that it has now, restocks included."""
    definition = {name: value for name, value in view.items() if name not in SHOWN_ONLY}
    definition["items"] = [
        {name: value for name, value in item.items() if name not in {"available", "held"}}
        for item in view["items"]
    ]
    return definition


def twin_of(
    sale: str, definition: Mapping[str, Any], *, now: datetime, units: int | None, hold_seconds: int | None
) -> Twin:
    """The twin of a sale. `units` is the stock of each item, `hold_seconds` the length of holds, instead of the real ones.

    Raises:
        TwinError: the definition has faults; all of them are named.
    """
    ending = f"-rehearsal-{now:%Y%m%d-%H%M%S}"
    wanted: dict[str, Any] = {**definition, "opens_at": OPENS_AT, "closes_at": None, "rehearsal": True}
    try:
        parse_definition(dict(definition))
        checked = parse_definition(_changed(wanted, units, hold_seconds))
    except InvalidError as fault:
        said = "; ".join(f"{each.field or 'the definition'} {each.detail}" for each in fault.faults)
        raise TwinError(f"the sale {sale} cannot be rehearsed: {said}") from fault
    if not any(item.stock for item in checked.items):
        raise TwinError(f"the sale {sale} has no units to rehearse with: say how many with --units")
    return Twin(sale, sale[: ID_CHARACTERS_MAX - len(ending)] + ending, checked)


def _changed(definition: dict[str, Any], units: int | None, hold_seconds: int | None) -> dict[str, Any]:
    if units is not None and isinstance(definition.get("items"), list):
        items = [{**item, "stock": units} if isinstance(item, dict) else item for item in definition["items"]]
        definition["items"] = items
    if hold_seconds is not None:
        definition["hold_seconds"] = hold_seconds
    return definition
