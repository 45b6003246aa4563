"""Webhooks as their owners manage them: who may, what is refused, and what is told."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.support_http.client import ROOT_KEY, Answer, Shop, new_sale_id, token
from tests.support_http.server import Server

PATH = "/v1/webhooks"
URL = "https://93.184.216.34/flashsale?token=1"
CONFIRMED, REFUNDED = (f"io.flashsale.reservation.{kind}.v1" for kind in ("confirmed", "refunded"))
NOBODY = f"{PATH}/wh_0123456789abcdef"


@pytest.fixture(scope="module")
def open_server(server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets webhooks go to private networks."""
    env = {"FLASHSALE_WEBHOOK_PRIVATE_NETWORKS": "1"}
    running = Server(tmp_path_factory.mktemp("open"), ["--redis-url", server.url], env=env)
    yield running
    log = running.program.err()
    running.stop()
    assert "internal_error" not in log, log


@pytest.fixture
async def anywhere(open_server: Server, valkey: str) -> AsyncIterator[Shop]:
    async with Shop(open_server.url) as shop:
        yield shop


async def create(shop: Shop, bearer: str = ROOT_KEY, **body: Any) -> Answer:
    return await shop.ask("POST", PATH, bearer=bearer, json={"url": URL, **body})


async def ask(shop: Shop, method: str, path: str, **body: Any) -> Answer:
    return await shop.ask(method, path, bearer=ROOT_KEY, **body)


async def key_of(shop: Shop, *scopes: str) -> str:
    made = await ask(shop, "POST", "/v1/keys", json={"name": "a test", "scopes": list(scopes)})
    return str(made.must(201)["key"])


async def test_a_webhook_is_registered_shown_and_removed(shop: Shop, sale: str) -> None:
    answer = await create(shop, await key_of(shop, "orders"))
    made = answer.must(201)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    path = f"{PATH}/{made['id']}"
    assert answer.headers["Location"] == path
    assert answer.headers["Cache-Control"] == "no-store"
    assert made == {
        "id": made["id"],
        "url": URL,
        "types": [CONFIRMED, REFUNDED],
        "sale": None,
        "state": "on",
        "reason": None,
        "off_at": None,
        "created_at": made["created_at"],
        "old_secret_until": None,
        "sales": [{"sale": sale, "position": 0, "last": 0, "tries": 0, "error": None, "next_at": None}],
        "sales_count": 1,
    }
    shown = await ask(shop, "GET", path)
    assert shown.must(200) == made
    listed = await ask(shop, "GET", PATH)
    assert listed.must(200) == {"webhooks": [made]}
    assert (await ask(shop, "GET", f"{path}/deliveries")).must(200) == {"deliveries": []}
    assert secret[6:].encode() not in shown.body + listed.body
    assert (await ask(shop, "DELETE", path)).status == 204
    for method, rest in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("POST", "/enable"),
        ("GET", "/deliveries"),
    ):
        (await ask(shop, method, path + rest)).refused(404, "not_found")
    assert (await ask(shop, "GET", PATH)).must(200) == {"webhooks": []}


async def facts(shop: Shop, sale: str) -> int:
    """How many there are in the journal of a sale."""
    return int((await shop.counters(sale))["seq"])


async def test_names_of_facts_are_types_too_and_existing_sales_begin_where_they_are(
    shop: Shop, sale: str
) -> None:
    made = (
        await create(shop, types=["reservation.held", CONFIRMED, "reservation.confirmed"], sale=sale)
    ).must(201)
    assert made["types"] == [CONFIRMED, "io.flashsale.reservation.held.v1"]
    assert made["sale"] == sale
    (where,) = made["sales"]
    assert where["position"] == where["last"] == await facts(shop, sale)
    other = (await create(shop, types=None, sale="not-there-yet")).must(201)
    assert other["sales"] == []


async def test_a_secret_is_rotated(shop: Shop) -> None:
    made = (await create(shop)).must(201)
    answer = await ask(shop, "POST", f"{PATH}/{made['id']}/rotate")
    rotated = answer.must(200)
    assert answer.headers["Cache-Control"] == "no-store"
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secret_until"] > made["created_at"]
    shown = (await ask(shop, "GET", f"{PATH}/{made['id']}")).must(200)
    assert "secret" not in shown
    assert shown["old_secret_until"] == rotated["old_secret_until"]


async def test_replay(shop: Shop, sale: str) -> None:
    made = (await create(shop, types=["reservation.held"])).must(201)
    path = f"{PATH}/{made['id']}/replay"
    shown = (await ask(shop, "POST", path, json={"sale": sale, "after": 1})).must(200)
    last = await facts(shop, sale)
    assert [(each["position"], each["last"]) for each in shown["sales"]] == [(1, last)]
    (await ask(shop, "POST", path, json={"sale": sale, "after": last + 1})).invalid("after")
    (await ask(shop, "POST", path, json={"sale": "unheard-of", "after": 0})).refused(404, "unknown_sale")
    (await ask(shop, "POST", f"{NOBODY}/replay", json={"sale": sale, "after": 0})).refused(404, "not_found")
    only = (await create(shop, sale="another")).must(201)
    refused = await ask(shop, "POST", f"{PATH}/{only['id']}/replay", json={"sale": sale, "after": 0})
    refused.refused(404, "unknown_sale")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["after", "sale"]),
        ({"sale": "x", "after": -1}, ["after"]),
        ({"sale": "x", "after": 10**15}, ["after"]),
        ({"sale": "x", "after": True}, ["after"]),
        ({"sale": "x", "after": 1.0}, ["after"]),
        ({"sale": "NO", "after": 0}, ["sale"]),
        ({"sale": None, "after": "0", "more": 1}, ["after", "more", "sale"]),
    ],
)
async def test_what_cannot_be_replayed(shop: Shop, body: Any, fields: list[str]) -> None:
    (await ask(shop, "POST", f"{NOBODY}/replay", json=body)).invalid(*fields)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"url": None}, ["url"]),
        ({"url": 7}, ["url"]),
        ({"url": "ftp://example.com/"}, ["url"]),
        ({"url": "https://user:hidden@example.com/"}, ["url"]),
        ({"url": "https://example.com/#x"}, ["url"]),
        ({"url": "https://example.com/" + "x" * 2000}, ["url"]),
        ({"types": []}, ["types"]),
        ({"types": "reservation.held"}, ["types"]),
        ({"types": {}}, ["types"]),
        ({"types": ["reservation.held", "nothing", 7, None]}, ["types[1]", "types[2]", "types[3]"]),
        ({"types": [REFUNDED, CONFIRMED, REFUNDED]}, ["types[2]"]),
        ({"types": ["reservation.held"] * 100}, [f"types[{n}]" for n in range(1, 100)]),
        ({"sale": "NO SALE"}, ["sale"]),
        ({"sale": 7}, ["sale"]),
        ({"secret": "mine", "url": "x", "types": ["x"]}, ["secret", "types[0]", "url"]),
    ],
)
async def test_what_cannot_be_registered(shop: Shop, body: Any, fields: list[str]) -> None:
    answer = await create(shop, **body)
    answer.invalid(*fields)
    assert b"hidden" not in answer.body
    assert (await ask(shop, "GET", PATH)).must(200) == {"webhooks": []}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00::1]",
        "[fe80::1]",
        "[ff02::1]",
    ],
)
async def test_private_addresses_are_refused_unless_the_settings_allow_them(
    shop: Shop, anywhere: Shop, host: str
) -> None:
    problem = (await create(shop, url=f"http://{host}:8080/hook")).invalid("url")
    assert "public internet" in problem["errors"][0]["detail"]
    (await create(anywhere, url=f"http://{host}:8080/hook")).must(201)


async def test_a_name_that_nobody_knows_may_be_registered(shop: Shop) -> None:
    (await create(shop, url="https://not-known-yet.invalid/hook")).must(201)


async def test_there_is_a_most(anywhere: Shop) -> None:
    for number in range(100):
        (await create(anywhere, url=f"https://example.com/{number}")).must(201)
    assert "100 webhooks" in (await create(anywhere)).refused(403, "forbidden")["detail"]
    listed = (await ask(anywhere, "GET", PATH)).must(200)["webhooks"]
    assert [each["url"].rpartition("/")[2] for each in listed] == [str(number) for number in range(100)]


OPERATIONS = [
    ("POST", PATH, {"url": URL}),
    ("GET", PATH, None),
    ("GET", NOBODY, None),
    ("DELETE", NOBODY, None),
    ("POST", f"{NOBODY}/rotate", None),
    ("POST", f"{NOBODY}/enable", None),
    ("GET", f"{NOBODY}/deliveries", None),
    ("POST", f"{NOBODY}/replay", {"sale": "x", "after": 0}),
]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
async def test_only_keys_with_the_scope_may(shop: Shop, method: str, path: str, body: Any) -> None:
    for stranger in (None, "nobody", token("c-1")):
        (await shop.ask(method, path, bearer=stranger, json=body)).refused(401, "unauthenticated")
    weak = await key_of(shop, "sales", "support")
    (await shop.ask(method, path, bearer=weak, json=body)).refused(403, "forbidden")


async def test_what_is_wrong_with_a_body_comes_first(shop: Shop) -> None:
    for path in (PATH, f"{NOBODY}/replay"):
        (await shop.ask("POST", path, data=b"{}")).refused(415, "unsupported_media_type")
        headers = {"Content-Type": "application/json"}
        (await shop.ask("POST", path, data=b"{", headers=headers)).refused(400, "malformed")
        (await shop.ask("POST", path, json=[])).refused(422, "invalid")
        body = json.dumps({"url": "x" * 70_000}).encode()
        (await shop.ask("POST", path, data=body)).refused(413, "too_large")
    (await shop.ask("GET", f"{NOBODY}/deliveries?limit=0")).invalid("limit")
    for query, fields in (
        ("limit=1001", ["limit"]),
        ("limit=x&sale=NO", ["limit", "sale"]),
        ("limit=-1", ["limit"]),
        ("sale=", ["sale"]),
    ):
        (await ask(shop, "GET", f"{NOBODY}/deliveries?{query}")).invalid(*fields)


@pytest.mark.parametrize("webhook", ["..", "%2e%2e", "x", "wh_" + "0" * 500, "%7D", "*"])
async def test_odd_ids_are_not_known(shop: Shop, webhook: str) -> None:
    (await ask(shop, "POST", f"{PATH}/{webhook}/enable")).refused(404, "not_found")


async def test_many_sales_are_shown_with_those_in_trouble_first(anywhere: Shop) -> None:
    made = (await create(anywhere)).must(201)
    for _ in range(25):
        (await anywhere.define(new_sale_id())).must(201)
    (listed,) = (await ask(anywhere, "GET", PATH)).must(200)["webhooks"]
    assert (len(listed["sales"]), listed["sales_count"]) == (20, 25)
    assert len((await ask(anywhere, "GET", f"{PATH}/{made['id']}")).must(200)["sales"]) == 25
