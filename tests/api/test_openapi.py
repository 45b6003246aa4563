"""The OpenAPI document and the page made of it: valid, complete, and true to the application's own routes."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from click.testing import CliRunner
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from flashsale.api import bodies, webhooks
from flashsale.api.app import build_app
from flashsale.api.docs_page import CONTENT_SECURITY_POLICY, render
from flashsale.api.openapi import document, payment_schemas, schemas, shapes, webhook_schemas
from flashsale.api.openapi.problems import KINDS
from flashsale.cli.main import cli
from flashsale.engine.webhooks import ID as WEBHOOK_ID
from flashsale.model.webhooks import MAX_URL_CHARACTERS
from flashsale.settings import load_settings

DOCUMENT = document()
VOID = {"meta", "link", "br"}
NOT_OF_ONE_OPERATION = {"internal", "method_not_allowed"}
"""Problems that any path may answer."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def resolve(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = DOCUMENT
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def validator(schema: dict[str, Any]) -> Any:
    whole = {**schema, "components": DOCUMENT["components"]}
    return OAS31Validator(whole, format_checker=OAS31Validator.FORMAT_CHECKER)


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_it_describes_every_route_and_no_other() -> None:
    settings = load_settings(
        {},
        # The pages are no part of the API: tests/pages is about them.
        {
            "redis_url": "redis://127.0.0.1:1",
            "root_key": "x" * 32,
            "shopper_secret": "y" * 32,
            "port": 0,
            "pages": False,
        },
        purpose="serve",
    )
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in build_app(settings).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert {(method, path) for method, path, _ in operations()} == served


def test_each_operation_is_told_in_full() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    for method, path, operation in operations():
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        names = {
            parameter["name"]
            for parameter in map(resolve, operation.get("parameters", ()))
            if parameter["in"] == "path"
        }
        assert names == set(re.findall(r"\{(\w+)\}", path)), where
        answers = set(operation["responses"])
        assert any(status.startswith("2") for status in answers), where
        if operation["security"]:
            assert "401" in answers, where
        if "requestBody" in operation:
            # What a provider sends is its own affair; its signature is what is checked.
            ours = {"415", "422"} if operation["operationId"] != "receivePaymentEvent" else set()
            assert {"400", "413"} | ours <= answers, where
        if path.startswith("/v1/") and path != "/v1/guests":
            assert "503" in answers, where


def test_each_scope_and_scheme_exists() -> None:
    schemes = set(DOCUMENT["components"]["securitySchemes"])
    scopes = set(DOCUMENT["components"]["schemas"]["Scope"]["enum"])
    for _, _, operation in operations():
        for alternative in operation["security"]:
            assert set(alternative) <= schemes
            assert {scope for needed in alternative.values() for scope in needed} <= scopes


def test_each_example_fits_its_schema() -> None:
    checked = 0
    for _, _, operation in operations():
        media = list(operation.get("requestBody", {}).get("content", {}).values())
        for response in map(resolve, operation["responses"].values()):
            media += response.get("content", {}).values()
        for one in media:
            examples = [example["value"] for example in one.get("examples", {}).values()]
            for instance in [*examples, *([one["example"]] if "example" in one else [])]:
                validator(one["schema"]).validate(instance)
                checked += 1
    assert checked > 100
    for schema in DOCUMENT["components"]["schemas"].values():
        for instance in schema.get("examples", ()):
            validator(schema).validate(instance)


def test_an_example_of_one_problem_fits_no_other() -> None:
    for kind in KINDS:
        named = {other.code: {"$ref": f"#/components/schemas/{other.schema_name}"} for other in KINDS}
        fitting = [code for code, schema in named.items() if validator(schema).is_valid(kind.instance())]
        assert fitting == [kind.code]


def test_each_problem_is_answered_by_some_operation() -> None:
    answered = set()
    for _, _, operation in operations():
        for response in map(resolve, operation["responses"].values()):
            answered |= set(
                response.get("content", {}).get("application/problem+json", {}).get("examples", {})
            )
    assert answered == {kind.code for kind in KINDS} - NOT_OF_ONE_OPERATION


def test_each_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for section in ("parameters", "headers", "responses"):
        for name in DOCUMENT["components"][section]:
            assert f'"#/components/{section}/{name}"' in text or name == "Allow", (section, name)


def test_the_limits_are_those_that_are_checked() -> None:
    assert schemas.MAX_LINES == bodies.MAX_LINES
    assert schemas.MAX_QUANTITY == bodies.MAX_QUANTITY
    assert shapes.MAX_REASON_CHARACTERS == bodies.MAX_REASON
    assert f"^{bodies.JOB_ID.pattern}$" == payment_schemas.JOB_ID
    assert webhook_schemas.MAX_NUMBER == webhooks.MAX_NUMBER
    assert webhook_schemas.MAX_LIMIT == webhooks.MAX_LIMIT
    assert webhook_schemas.MAX_URL_CHARACTERS == MAX_URL_CHARACTERS
    assert f"^{WEBHOOK_ID.pattern}$" == webhook_schemas.WEBHOOK_ID
    parameter = DOCUMENT["components"]["parameters"]["IdempotencyKey"]
    assert parameter["schema"]["maxLength"] == bodies.MAX_KEY
    assert DOCUMENT["components"]["schemas"]["Sku"]["maxLength"] == bodies.MAX_SKU


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(cli, ["openapi"], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == DOCUMENT


class Reader(HTMLParser):
    """Collects what the page is made of, and refuses tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "action"}:
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data


@pytest.fixture
def page() -> Reader:
    reader = Reader()
    reader.feed(render(DOCUMENT))
    reader.close()
    return reader


def test_the_page_is_well_formed_and_leads_nowhere_else(page: Reader) -> None:
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert {link.partition("#")[0] for link in page.links} <= {"", "/openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not page.tags & {"script", "img", "iframe", "link", "form", "object"}
    assert not any(name.startswith("on") or name == "style" for name in page.attributes)


def test_the_page_has_an_anchor_for_each_problem_operation_and_schema(page: Reader) -> None:
    assert {kind.instance()["type"] for kind in KINDS} <= {f"/docs#{anchor}" for anchor in page.ids}
    assert {operation["operationId"] for _, _, operation in operations()} <= set(page.ids)
    named = {name for name in DOCUMENT["components"]["schemas"] if not name.startswith("Problem")}
    assert {f"schema-{name}" for name in named} <= set(page.ids)


def test_the_policy_lets_in_the_style_of_the_page_and_nothing_else(page: Reader) -> None:
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert f"style-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_text_of_the_document_is_text_on_the_page() -> None:
    odd = document()
    odd["info"]["title"] = "<script>alert(1)</script>"
    odd["paths"]["/healthz"]["get"]["summary"] = '"><img src=x onerror=alert(1)>'
    odd["components"]["schemas"]["Sale"]["description"] = "`<b>` & <i>"
    html = render(odd)
    assert "<script" not in html
    assert "<img" not in html
    assert "<code>&lt;b&gt;</code> &amp; &lt;i&gt;" in html


def test_each_call_on_the_page_names_the_path_and_the_caller() -> None:
    html = render(DOCUMENT)
    assert "curl -X PUT &quot;$URL/v1/sales/giulia-milano&quot;" in html
    assert "curl -X POST &quot;$URL/v1/sales/giulia-milano/pause&quot;" in html
    assert "curl -X DELETE &quot;$URL/v1/reservations/giulia-milano.0.q83vEjRWeJASNFZ4&quot;" in html
    assert "-H &#x27;Idempotency-Key: 6f1c0a52-5d6b-4d0e-9f6e-6f1a4d6b1f7a&#x27;" in html
    assert (
        "-d &#x27;{&quot;items&quot;: [{&quot;sku&quot;: &quot;giulia&quot;, &quot;quantity&quot;: 1}]}&#x27;"
        in html
    )
