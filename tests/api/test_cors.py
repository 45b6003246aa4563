"""Pages of other origins may call the API where the setting says so; where it says nothing, nothing is different."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from flashsale.api import bodies
from flashsale.api.cors import ALLOWED, EXPOSED
from tests.support_http.client import ROOT_KEY, Answer, Shop, instant, lines, new_sale_id, token
from tests.support_http.server import app_on
from tests.support_http.watching import watching

HOME, OTHER, STRANGER = "https://shop.example", "http://other.example:8080", "https://evil.example"
SETTINGS = {"any": "*", "one": HOME, "several": f"{HOME}, {OTHER}"}
CORS_HEADERS = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary")
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@asynccontextmanager
async def shop_with(valkey: str, origins: str | None, **env: str) -> AsyncIterator[Shop]:
    """A shop that lets these origins in."""
    settings = env if origins is None else {**env, "FLASHSALE_CORS_ORIGINS": origins}
    async with app_on(valkey, settings) as url, Shop(url) as shop:
        yield shop


def told(answer: Answer | Mapping[str, str]) -> tuple[str | None, ...]:
    """What an answer says of origins."""
    headers = answer.headers if isinstance(answer, Answer) else answer
    return tuple(headers.get(name) for name in CORS_HEADERS)


def expected(mode: str, origin: str | None) -> tuple[str | None, ...]:
    match mode, origin:
        case "any", _:
            return ("*", EXPOSED, None)
        case "one", _:
            return (HOME, EXPOSED, None)
        case "several", str() if origin in {HOME, OTHER}:
            return (origin, EXPOSED, "Origin")
        case "several", _:
            return (None, None, "Origin")
    return (None, None, None)


@pytest.mark.parametrize("lane", ["0", "1"], ids=["aiohttp", "fast-lane"])
@pytest.mark.parametrize("mode", [*SETTINGS, "unset"])
@pytest.mark.parametrize("origin", [HOME, OTHER, STRANGER, None])
async def test_every_answer_says_so(valkey: str, mode: str, origin: str | None, lane: str) -> None:
    """Those of the fast lane, refusals, and streams."""
    origin_header = {"Origin": origin} if origin is not None else {}
    async with shop_with(valkey, SETTINGS.get(mode), FLASHSALE_FAST_LANE=lane) as shop:
        sale, closed = new_sale_id(), new_sale_id()
        (await shop.define(sale, limit_per_customer=1)).must(201)
        (await shop.define(closed, closes_at=instant(-60))).must(201)
        path = f"/v1/sales/{sale}/reservations"
        answers = {
            200: await shop.ask("GET", f"/v1/sales/{sale}", headers=origin_header),
            201: await _reserve(shop, path, origin_header),
            409: await _reserve(shop, path, origin_header),
            410: await _reserve(shop, f"/v1/sales/{closed}/reservations", origin_header),
            401: await shop.ask("POST", path, bearer="forged", json=lines(), headers=origin_header),
            404: await shop.ask("GET", "/v1/nothing", headers=origin_header),
            405: await shop.ask("DELETE", "/healthz", headers=origin_header),
            413: await shop.ask(
                "POST", path, json={"items": ["x" * bodies.MAX_BODY_BYTES]}, headers=origin_header
            ),
        }
        assert {status: answer.status for status, answer in answers.items()} == {
            each: each for each in answers
        }
        for answer in answers.values():
            assert told(answer) == expected(mode, origin)
            assert "Access-Control-Allow-Credentials" not in answer.headers
        async with watching(shop.url, sale, headers=origin_header) as stream:
            head = [line.partition(": ") for line in stream.head.decode().split("\r\n")[1:-2]]
            assert told({name: value for name, _, value in head}) == expected(mode, origin)


async def _reserve(shop: Shop, path: str, headers: Mapping[str, str]) -> Answer:
    return await shop.ask("POST", path, bearer=token("c-1"), json=lines(), headers=headers)


@pytest.mark.parametrize("mode", SETTINGS)
async def test_a_browser_may_ask_first(valkey: str, mode: str) -> None:
    async with shop_with(valkey, SETTINGS[mode]) as shop:
        for path, methods in {
            "/v1/sales/none/reservations": "POST",
            "/v1/sales/none": "GET, HEAD, PUT",
            "/v1/reservations/none": "DELETE, GET, HEAD",
            "/v1/guests": "POST",
        }.items():
            answer = await shop.ask("OPTIONS", path, headers={"Origin": HOME, **PREFLIGHT})
            assert (answer.status, answer.body) == (204, b"")
            assert answer.headers["Access-Control-Allow-Methods"] == methods
            assert answer.headers["Access-Control-Allow-Headers"] == ALLOWED
            assert int(answer.headers["Access-Control-Max-Age"]) > 0
            assert told(answer) == expected(mode, HOME)
        stranger = await shop.ask("OPTIONS", "/v1/guests", headers={"Origin": STRANGER, **PREFLIGHT})
        assert told(stranger) == expected(mode, STRANGER)


async def test_asking_first_needs_no_store(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop_with(valkey, "*") as shop:
        monkeypatch.setattr("flashsale.engine.sales.Sales.view", None)
        monkeypatch.setattr("flashsale.engine.reservations.Reservations.offer", None)
        for path in ("/v1/sales/none/reservations", "/v1/sales/none", "/v1/sales/none/live"):
            answer = await shop.ask("OPTIONS", path, headers={"Origin": HOME, **PREFLIGHT})
            assert answer.status == 204


async def test_what_is_no_such_question_is_refused_as_ever(valkey: str) -> None:
    async with shop_with(valkey, "*") as shop:
        plain = await shop.ask("OPTIONS", "/v1/guests", headers={"Origin": HOME})
        plain.refused(405, "method_not_allowed")
        nowhere = await shop.ask("OPTIONS", "/v1/nowhere", headers={"Origin": HOME, **PREFLIGHT})
        nowhere.refused(404, "not_found")
        outside = await shop.ask("OPTIONS", "/healthz", headers={"Origin": HOME, **PREFLIGHT})
        outside.refused(405, "method_not_allowed")
    async with shop_with(valkey, None) as shop:
        unset = await shop.ask("OPTIONS", "/v1/guests", headers={"Origin": HOME, **PREFLIGHT})
        unset.refused(405, "method_not_allowed")


async def test_what_else_an_answer_depends_on_stays(valkey: str) -> None:
    """The pages are packed for those who can unpack them."""
    async with shop_with(valkey, SETTINGS["several"]) as shop:
        answer = await shop.ask("GET", "/console", headers={"Origin": HOME})
        assert answer.status == 200
        assert {"Accept-Encoding", "Origin"} <= _all(answer.headers, "Vary")


def _all(headers: Mapping[str, str], name: str) -> set[str]:
    getall = getattr(headers, "getall", None)
    values = getall(name) if getall is not None else [headers[name]]
    return {each.strip() for value in values for each in value.split(",")}


async def test_a_location_can_be_read(valkey: str) -> None:
    async with shop_with(valkey, HOME) as shop:
        sale = new_sale_id()
        (await shop.define(sale)).must(201)
        made = await _reserve(shop, f"/v1/sales/{sale}/reservations", {"Origin": HOME})
        exposed = {name.strip() for name in made.headers["Access-Control-Expose-Headers"].split(",")}
        assert {"Location", "Retry-After"} <= exposed
        assert "Location" in made.headers
        listed = await shop.ask("GET", "/v1/keys", bearer=ROOT_KEY, headers={"Origin": STRANGER})
        assert (listed.status, listed.headers["Access-Control-Allow-Origin"]) == (200, HOME)
