"""The forms that schemas of the API's bodies take."""

from typing import Final

from flashsale.api.openapi.problems import Schema

MAX_REASON_CHARACTERS: Final = 200

UNITS: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TEXT: Final[Schema] = {"type": "string"}


def reference(name: str) -> Schema:
    """A reference to a schema of this document."""
    return {"$ref": f"#/components/schemas/{name}"}


def described(schema: Schema, description: str) -> Schema:
    """A schema with a description of its own."""
    return {**schema, "description": description}


def optional(schema: Schema, description: str) -> Schema:
    """A schema that also takes null."""
    return {"anyOf": [schema, {"type": "null"}], "description": description}


def answer(description: str, properties: Schema, *, may_miss: tuple[str, ...] = ()) -> Schema:
    """An object as the server answers it: all of its members are there, but those in `may_miss`."""
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name not in may_miss],
        "properties": properties,
    }


def request(description: str, required: tuple[str, ...], properties: Schema) -> Schema:
    """An object as it is sent: a member that is not named here is refused."""
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }
