"""The schemas of events: every event fits its own, and what was sent once stays readable, and the same, for ever.

`events_v1` has one stored event of each type with what it was made of. They are never made anew: a change that breaks this
test breaks somebody's order system, and needs a new version of the type.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from flashsale.client.orders import Place, Track, read_order
from flashsale.model.cursor import Cursor
from flashsale.model.events import EVENT_TYPES, MEDIA_TYPE, ORDER_EVENTS, event_type, make_event, schema_id
from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import unpack_record
from flashsale.model.terms import Terms
from tests.model import journals

STORED = Path(__file__).parent / "events_v1"
TYPES = sorted(EVENT_TYPES.values())


def schema_of(fact_type: str) -> Any:
    return orjson.loads((files("flashsale") / "schemas" / f"{fact_type}.v1.json").read_bytes())


def validator_of(fact_type: str) -> Any:
    return Draft202012Validator(schema_of(fact_type), format_checker=Draft202012Validator.FORMAT_CHECKER)


def events_of(facts: list[Fact]) -> dict[str, list[bytes]]:
    """The events of a journal, by the type of their facts."""
    held = {fact.held().token: fact.held() for fact in facts if fact.type == FactType.HELD}
    terms, found = None, dict[str, list[bytes]]()
    for fact in facts:
        if fact.type == FactType.SALE_OPENED:
            terms = Terms.read(fact.data)
        about = held.get(fact.token) if fact.type.startswith("reservation.") else None
        found.setdefault(fact.type, []).append(make_event("test", "giulia", fact, terms, about).body)
    return found


def whole_shop() -> dict[str, list[bytes]]:
    """Events of every type."""
    found = events_of(journals.good())
    for fact_type, bodies in events_of(journals.paid()).items():
        found.setdefault(fact_type, []).extend(bodies)
    return found


@pytest.mark.parametrize("fact_type", TYPES)
def test_each_type_has_a_schema_that_lets_members_be_added(fact_type: str) -> None:
    schema = schema_of(fact_type)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == schema_id(fact_type)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == event_type(fact_type)
    assert b"additionalProperties" not in orjson.dumps(schema)
    assert set(schema["required"]) <= set(schema["properties"])


def test_there_are_no_other_schemas() -> None:
    names = {path.name for path in (files("flashsale") / "schemas").iterdir()}
    assert names == {f"{fact_type}.v1.json" for fact_type in TYPES}


@pytest.mark.parametrize("fact_type", TYPES)
def test_every_event_fits_its_schema(fact_type: str) -> None:
    bodies = whole_shop()[fact_type]
    assert bodies
    for body in bodies:
        event = orjson.loads(body)
        validator_of(fact_type).validate(event["data"])
        more = {**event["data"], "something_new": {"of": ["any", "kind"]}}
        validator_of(fact_type).validate(more)
        for name in event["data"]:
            less = {key: value for key, value in event["data"].items() if key != name}
            assert not validator_of(fact_type).is_valid(less), f"{name} may be missing"


@pytest.mark.parametrize("fact_type", TYPES)
def test_the_official_library_reads_every_event(fact_type: str) -> None:
    for body in whole_shop()[fact_type]:
        message = HTTPMessage(headers={"content-type": MEDIA_TYPE}, body=body)
        event = from_structured(message, JSONFormat())
        raw = orjson.loads(body)
        assert event.get_id() == raw["id"]
        assert event.get_type() == event_type(fact_type)
        assert event.get_source() == raw["source"]
        assert event.get_subject() == raw["subject"]
        assert event.get_dataschema() == schema_id(fact_type)
        assert event.get_extension("factseq") == raw["factseq"]
        assert event.get_data() == raw["data"]


@pytest.mark.parametrize("fact_type", TYPES)
def test_an_event_of_version_1_stays_what_it_was(fact_type: str) -> None:
    stored = orjson.loads((STORED / f"{fact_type}.json").read_bytes())
    made_of = stored["made_of"]
    fact = Fact(made_of["seq"], made_of["at_ms"], fact_type, bytes.fromhex(made_of["fact"]))
    record = made_of["reservation"]
    about = unpack_record(record["token"], bytes.fromhex(record["record"])) if record else None
    terms = Terms.read(made_of["definition"].encode()) if made_of["definition"] else None
    event = make_event(made_of["shop"], made_of["sale"], fact, terms, about)
    assert event.body.decode() == stored["event"], (
        "the bytes of an event have changed: that takes a new version of its type"
    )


@pytest.mark.parametrize("fact_type", TYPES)
def test_an_event_of_version_1_stays_readable(fact_type: str) -> None:
    event = orjson.loads(orjson.loads((STORED / f"{fact_type}.json").read_bytes())["event"])
    validator_of(fact_type).validate(event["data"])
    if event["type"] in ORDER_EVENTS:
        order = read_order(event, Place(1, Track(Cursor()), 1))
        assert order.reservation == event["data"]["reservation"]
        assert order.amount_due == event["data"]["amount_due"]
