"""Every operation of the OpenAPI document, called with what Schemathesis makes of it, against the real server.

Each answer is checked against the document: the status, the media type, the headers and the body must be what it
says, what it allows must be accepted, what it forbids refused, and nothing may be a fault of the server. The calls
are the same in every run (a fixed seed) and bounded.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import pytest
import schemathesis
from hypothesis import settings
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import CHECKS, load_all_checks

from flashsale.api.openapi import document
from flashsale.client import Client
from tests.support.served import Served
from tests.support.world import SKU, STATES, World

pytestmark = pytest.mark.long

CUSTOMER = "c-17"
EXAMPLES = 30
EXAMPLES_PER_STATE = 8


Seen = set[tuple[str, str]]
Credentials = dict[str, str]
Test = TypeVar("Test", bound=Callable[..., None])

FOR_ORDERS = "apiKey without orders"
"""The credentials of somebody who has a key for something else than orders."""
STRANGERS = {"apiKey": "nobody", "shopperToken": "nobody"}
NOT_HERE = {
    "unavailable": "the store is well here",
    "cursor_ahead": "what is made up is no cursor",
    "cursor_expired": "no journal is trimmed here",
    "recovering": "the store has never been away here",
    "busy": "so is the server",
    "too_large": "few of the bodies made up are",
    "200": "of `reserve`: a replay takes two requests that belong together",
    "idempotency_mismatch": "so does this",
    "limit_reached": "and this; the sales made up have no limit",
    "already_expired": "takes waiting",
    "already_confirmed": "takes a payment",
    "already_refunded": "takes a refund",
    "already_cancelled": "takes a payment after a cancellation",
    "too_many_attempts": "takes many payments of one reservation",
    "payments_unavailable": "there is a provider here",
}
"""Answers that need not come here, and why. Other tests are about each of them."""


def api(max_examples: int, **more: Any) -> Any:
    """The document with bounds on what is generated from it."""
    config = {
        "seed": 20261122,
        "generation": {
            "deterministic": True,
            "max-examples": max_examples,
            "database": "none",
            **more.pop("generation", {}),
        },
        # 413 is how a body that is wrong, and too large as well, is refused.
        "checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}},
        # A live view has no end: its first event is enough.
        "max-stream-events": 1,
        "warnings": False,
        **more,
    }
    return schemathesis.openapi.from_dict(document(), config=schemathesis.Config.from_dict(config))


def each_operation(schema: Any, max_examples: int) -> Callable[[Test], Test]:
    """Make a test of a case into one test for each operation of the document."""
    bounds = settings(max_examples=max_examples, derandomize=True, database=None)

    def decorate(test: Test) -> Test:
        made: Test = schema.parametrize()(bounds(test))
        return made

    return decorate


ANYTHING = api(EXAMPLES)
# Only what the document allows: what it forbids is refused before anything is looked up, and in the other test.
ALLOWED = api(EXAMPLES_PER_STATE, generation={"mode": "positive"}, phases={"coverage": {"enabled": False}})

load_all_checks()
# Replaced by `accepted` below, which knows what JSON Schema cannot say.
EXCLUDED: Any = CHECKS.get_by_names(["positive_data_acceptance"])
NEGATIVE: Any = CHECKS.get_by_names(["negative_data_rejection"])


@pytest.fixture(params=["document"], autouse=True)
def of_its_own_name() -> None:
    """Has pytest tell the tests of the operations apart: without a parameter, Schemathesis calls all of them the same."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # Webhooks may go to this machine, so that those that are made up need go nowhere else.
    with Served(tmp_path_factory.mktemp("server"), {"FLASHSALE_WEBHOOK_PRIVATE_NETWORKS": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def seen() -> Seen:
    """The answers that came, each by its operation and its problem's code, or its status where it was good."""
    return set()


@pytest.fixture(scope="module")
def world(served: Served) -> World:
    return World(served, CUSTOMER)


@pytest.fixture(scope="module")
def allowed(served: Served) -> Credentials:
    """By security scheme, somebody who may do everything."""
    return {"apiKey": served.root_key, "shopperToken": served.token(CUSTOMER)}


@pytest.fixture(scope="module")
def others(served: Served) -> Credentials:
    """By security scheme, somebody who may do nothing here: a key without the scope, another customer."""

    async def key(scope: str) -> str:
        async with Client(served.url, served.root_key) as client:
            return str((await client.create_key("weak", [scope]))["key"])

    return {
        "apiKey": asyncio.run(key("orders")),
        FOR_ORDERS: asyncio.run(key("support")),
        "shopperToken": served.token("c-18"),
    }


def authorization(case: "Case[Any]", credentials: Credentials, scheme: str | None = None) -> dict[str, str]:
    """The header for one of the schemes that the operation takes, where it takes any."""
    raw = case.operation.definition.raw["security"]
    schemes = [scheme for alternative in raw for scheme in alternative]
    if not schemes:
        return {}
    if {"apiKey": ["orders"]} in raw and FOR_ORDERS in credentials:
        scheme = FOR_ORDERS
    return {"Authorization": f"Bearer {credentials[scheme or schemes[0]]}"}


def inexpressible(case: "Case[Any]", pointer: str) -> bool:
    """Whether the value at `pointer` breaks one of the rules that JSON Schema has no words for."""
    headers: Any = case.headers
    body: Any = case.body
    if pointer in {"#/after", "#/Last-Event-ID", "#/customer", "#/reservation"}:
        # Looks like a cursor, and is none; or like a number that a sale has reached. Of a story's two exactly one is named.
        return True
    if pointer == "#/url" or (pointer == "#/sale" and "rehearsal" in (case.query or {})):
        # Not every text is an address, nor every address one of the public internet. A rehearsal has to be named.
        return True
    parent: Any = None
    value = body
    last = ""
    for part in pointer.removeprefix("#/").split("/"):
        last, parent = part.replace("~1", "/").replace("~0", "~"), value
        if isinstance(value, dict) and last not in value:
            # A header or a path parameter: only the Idempotency-Key is text that must be printable.
            return last == "Idempotency-Key" and not str(headers[last]).isprintable()
        value = value[int(last)] if isinstance(value, list) else value[last]
    if isinstance(value, float):
        return value.is_integer()
    if last == "sku" and sum(item.get("sku") == value for item in body["items"]) > 1:
        return True
    if last == "closes_at" and datetime.fromisoformat(value) <= datetime.fromisoformat(parent["opens_at"]):
        return True
    if last in {"opens_at", "closes_at"}:
        return not "1972" <= value[:4] <= "9997"
    return isinstance(value, str) and (not value.isprintable() or value != value.strip())


def accepted(ctx: CheckContext, response: Response, case: "Case[Any]") -> None:
    """What the document allows is not called invalid, but for the rules that it tells in words only."""
    if case.meta is None or case.meta.generation.mode.is_negative or response.status_code != 422:
        return
    problem = response.json()
    assert problem["code"] == "invalid", problem
    for error in problem["errors"]:
        assert inexpressible(case, error["pointer"]), error


def problem_codes(response: dict[str, Any]) -> list[str]:
    """The codes of the problems that a response may be."""
    if "$ref" not in response:
        return []
    named = document()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return list(named["content"]["application/problem+json"]["examples"])


def vanishes(case: "Case[Any]") -> bool:
    """Whether what is forbidden about the query is never sent: an empty list has no form in an address."""
    known = {parameter.name for parameter in case.operation.query}
    query: Any = case.query
    others = [value for name, value in query.items() if name not in known]
    return bool(others) and not any(value or isinstance(value, int) for value in others)


def call(case: "Case[Any]", served: Served, credentials: Credentials, seen: Seen) -> None:
    query: Any = case.query
    operation = case.operation.definition.raw["operationId"]
    if str(query.get("wait", "0" if operation == "streamOrders" else "")).isdecimal():
        query["wait"] = 0 if int(query.get("wait", 0)) <= 60 else query["wait"]  # here nothing comes
    response = case.call_and_validate(
        base_url=served.url,
        headers=authorization(case, credentials),
        excluded_checks=[*EXCLUDED, *NEGATIVE] if vanishes(case) else EXCLUDED,
        additional_checks=[accepted],
    )
    problem = response.status_code >= 400
    answer = response.json()["code"] if problem else str(response.status_code)
    seen.add((case.operation.definition.raw["operationId"], answer))


def test_the_server_serves_the_document(served: Served) -> None:
    async def answered() -> Any:
        async with Client(served.url) as client:
            return await client.openapi()

    assert asyncio.run(answered()) == document()


@each_operation(ANYTHING, EXAMPLES)
def test_whatever_is_sent_is_answered_as_documented(
    case: "Case[Any]", served: Served, allowed: Credentials, seen: Seen
) -> None:
    call(case, served, allowed, seen)


@each_operation(ALLOWED, EXAMPLES_PER_STATE)
def test_what_exists_is_answered_as_documented(
    case: "Case[Any]", served: Served, world: World, allowed: Credentials, others: Credentials, seen: Seen
) -> None:
    """The same, but the path leads to a sale, reservation or key that exists, of a sale in each state in turn."""
    changing = case.method != "GET"
    for state in STATES:
        for name in case.path_parameters:
            case.path_parameters[name] = world.name(name, state, fresh=changing)
        body: Any = case.body
        if case.operation.definition.raw["operationId"] == "reserve":
            for line in body["items"]:
                line["sku"] = SKU
        if case.operation.definition.raw["operationId"] == "replayWebhook":
            body["sale"] = world.name("sale", state, fresh=False)
        for credentials in (STRANGERS, others, allowed):
            call(case, served, credentials, seen)


RARE = {
    ("replayWebhook", "unknown_sale"),  # takes a webhook that exists, and a sale that does not
    ("getOrderSummary", "invalid"),  # takes a parameter that is not documented
}
"""Answers that come by chance only, if at all; tests of their own ask for them."""


def test_each_documented_answer_came_and_no_other(seen: Seen) -> None:
    documented = set()
    for item in document()["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                answers = problem_codes(response) or [status]
                documented |= {(operation["operationId"], answer) for answer in answers}
    assert {answer for _, answer in seen - documented} == {"method_not_allowed"}
    missing = {(name, answer) for name, answer in documented - seen if answer not in NOT_HERE} - RARE
    assert missing == {
        ("createGuest", "forbidden"),  # guests are switched on here
        ("receivePaymentEvent", "202"),  # nobody here can sign like a provider
        ("receivePaymentEvent", "malformed"),  # takes a body that is not packed as it says
    }


def test_the_books_of_every_sale_are_clean_afterwards(served: Served) -> None:
    async def verdicts() -> dict[str, Any]:
        async with Client(served.url, served.root_key) as client:
            return {sale["id"]: await client.audit(sale["id"]) for sale in await client.sales()}

    found = asyncio.run(verdicts())
    assert found
    assert [verdict["findings"] for verdict in found.values() if not verdict["ok"]] == []
    assert "http.internal_error" not in served.log
