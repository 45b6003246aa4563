"""How an operation of the API is described, and how that becomes OpenAPI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flashsale.api.openapi.problems import BY_CODE, REASONS, ProblemKind, Schema
from flashsale.api.openapi.shapes import reference

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"

Method = Literal["get", "put", "post", "delete"]

UNAVAILABLE: Final = ("unavailable", "recovering")
"""What every operation may answer that has to ask the store."""
BODY: Final = ("malformed", "too_large", "unsupported_media_type", "invalid")
"""What every operation may answer that takes a JSON body."""
CALLER: Final = ("unauthenticated", "forbidden")
"""What every operation may answer that is not for anyone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One good answer: what it says, the schema of its body (None: no body), and the headers it has."""

    description: str
    schema: Schema | None = None
    example: Any = None
    media_type: str = JSON
    headers: Mapping[str, Schema] = field(default_factory=dict)

    def render(self) -> Schema:
        """The OpenAPI response."""
        response: Schema = {"description": self.description}
        if self.headers:
            response["headers"] = dict(self.headers)
        if self.schema is not None:
            content: Schema = {"schema": self.schema}
            if self.example is not None:
                content["example"] = self.example
            response["content"] = {self.media_type: content}
        return response


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `security` are the alternatives of who may call, each a scheme with its scopes; none means anyone.
    `parameters` are names of the document's parameter components. `body` is the name of a schema,
    `body_example` an instance of it. `problems` are the codes it may answer.
    """

    method: Method
    path: str
    name: str
    tag: str
    summary: str
    description: str
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    security: tuple[tuple[str, tuple[str, ...]], ...] = ()
    parameters: tuple[str, ...] = ()
    body: str | None = None
    body_example: Any = None

    def render(self) -> Schema:
        """The OpenAPI operation."""
        operation: Schema = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "security": [{scheme: list(scopes)} for scheme, scopes in self.security],
        }
        if self.parameters:
            operation["parameters"] = [
                {"$ref": f"#/components/parameters/{name}"} for name in self.parameters
            ]
        if self.body is not None:
            content = {"schema": reference(self.body), "example": self.body_example}
            operation["requestBody"] = {"required": True, "content": {JSON: content}}
        good = {str(status): answer.render() for status, answer in self.answers.items()}
        operation["responses"] = good | _problem_responses(self.problems)
        return operation


def component_responses(operations: tuple[Operation, ...]) -> dict[str, Schema]:
    """The problem responses that the operations refer to, by name."""
    found = {}
    for operation in operations:
        for kinds in _by_status(operation.problems).values():
            found[_response_name(kinds)] = _problem_response(kinds)
    return dict(sorted(found.items()))


def _problem_responses(codes: tuple[str, ...]) -> dict[str, Schema]:
    return {
        str(status): {"$ref": f"#/components/responses/{_response_name(kinds)}"}
        for status, kinds in _by_status(codes).items()
    }


def _by_status(codes: tuple[str, ...]) -> dict[int, list[ProblemKind]]:
    """The kinds of problem by status, both in the order of the catalogue."""
    grouped: dict[int, list[ProblemKind]] = {}
    unknown = set(codes) - set(BY_CODE)
    if unknown:
        raise ValueError(f"no such problems: {sorted(unknown)}")
    for kind in BY_CODE.values():
        if kind.code in codes:
            grouped.setdefault(kind.status, []).append(kind)
    return dict(sorted(grouped.items()))


def _response_name(kinds: list[ProblemKind]) -> str:
    return "Or".join("".join(part.capitalize() for part in kind.code.split("_")) for kind in kinds)


def _problem_response(kinds: list[ProblemKind]) -> Schema:
    """One response for all kinds of problem of one status."""
    schemas = [reference(kind.schema_name) for kind in kinds]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    response: Schema = {
        "description": f"{REASONS[kinds[0].status]}: {' or '.join(f'`{kind.code}`' for kind in kinds)}.",
        "content": {
            PROBLEM_JSON: {
                "schema": schema,
                "examples": {kind.code: {"summary": kind.title, "value": kind.instance()} for kind in kinds},
            }
        },
    }
    headers = {
        name: _problem_header(name, always=all(name in kind.headers for kind in kinds))
        for name in sorted({header for kind in kinds for header in kind.headers})
    }
    if headers:
        response["headers"] = headers
    return response


def _problem_header(name: str, *, always: bool) -> Schema:
    """A header of a response; where only some of its problems have it, the response has it sometimes."""
    component = f"#/components/headers/{name}"
    return {"$ref": component} if always else {"$ref": f"{component}-Sometimes"}
