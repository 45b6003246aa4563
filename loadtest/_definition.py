"""The sale that is made for a run."""

import json
from pathlib import Path
from typing import Any, Final

from flashsale.model.faults import InvalidError
from flashsale.model.sale import parse_definition

PLAIN: Final[dict[str, Any]] = {
    "title": "Load test",
    "currency": "EUR",
    "limit_per_customer": 1,
    "hold_seconds": 60,
    "items": [{"sku": "unit", "title": "Unit", "price": 1000, "stock": 100}],
    "payment": {"methods": ["card"]},
}


class DefinitionError(Exception):
    """What was given is no definition of a sale; the message says why."""


def definition_of(options: Any) -> dict[str, Any]:
    """The definition, all but when it opens.

    Raises:
        DefinitionError: the file cannot be read, or is none.
    """
    definition = dict(PLAIN)
    if options.definition:
        try:
            definition = json.loads(Path(options.definition).read_text(encoding="utf-8"))
            definition["items"] = [dict(item) for item in definition["items"]]
        except (OSError, ValueError, TypeError, KeyError) as fault:
            raise DefinitionError(f"{options.definition} is no definition of a sale: {fault!r}") from fault
    for name in ("opens_at", "closes_at"):
        definition.pop(name, None)
    if options.units is not None:
        definition["items"] = [dict(item, stock=options.units) for item in definition["items"]]
    if options.hold_seconds is not None:
        definition["hold_seconds"] = options.hold_seconds
    if options.rehearsal:
        definition["rehearsal"] = True
    try:
        parse_definition(dict(definition, opens_at="2030-01-01T00:00:00Z"))
    except InvalidError as fault:
        raise DefinitionError(f"{options.definition or 'the options'}: {fault}") from fault
    return definition
