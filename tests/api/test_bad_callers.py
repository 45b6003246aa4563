"""Who may not do what: tokens, API keys, other people's reservations."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support_http.bad_tokens import BAD_TOKENS, GOOD, compact, forged
from tests.support_http.client import (
    ROOT_KEY,
    SECRET,
    Shop,
    claims,
    definition,
    label,
    lines,
    new_sale_id,
    token,
    untouched,
)
from tests.support_http.server import Server, app_on


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_tokens_that_are_refused(shop: Shop, sale: str, bad: str) -> None:
    async with untouched(shop, sale):
        answer = await shop.reserve(sale, "c-1", bearer=bad)
        problem = answer.refused(401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert SECRET not in problem["detail"]
        path = f"/v1/sales/{sale}/reservations/mine"
        (await shop.ask("GET", path, bearer=bad)).refused(401, "unauthenticated")


async def test_no_token_at_all(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    basic = "Basic " + base64.b64encode(b"c-1:" + SECRET.encode()).decode()
    async with untouched(shop, sale):
        for headers in (
            {},
            {"Authorization": basic},
            {"Authorization": f"Token {GOOD}"},
            {"Authorization": GOOD},
        ):
            for method, path in (
                ("POST", f"/v1/sales/{sale}/reservations"),
                ("GET", f"/v1/sales/{sale}/reservations/mine"),
                ("GET", f"/v1/reservations/{held}"),
                ("DELETE", f"/v1/reservations/{held}"),
                ("PUT", f"/v1/sales/{sale}"),
                ("POST", f"/v1/sales/{sale}/close"),
                ("POST", f"/v1/sales/{sale}/items/giulia/restock"),
                ("GET", f"/v1/sales/{sale}/stats"),
                ("GET", f"/v1/sales/{sale}/audit"),
                ("POST", "/v1/keys"),
                ("GET", "/v1/keys"),
                ("DELETE", "/v1/keys/0123456789ab"),
            ):
                body: Any = {
                    "reservations": lines(),
                    "restock": {"units": 1},
                    "keys": {"name": "x", "scopes": ["sales"]},
                    sale: definition(),
                }.get(path.rpartition("/")[2])
                answer = await shop.ask(method, path, headers=headers, json=body)
                answer.refused(401, "unauthenticated")


async def test_the_scheme_may_be_written_in_any_case(shop: Shop, sale: str) -> None:
    path = f"/v1/sales/{sale}/reservations/mine"
    for scheme in ("bearer", "BEARER", "Bearer"):
        (await shop.ask("GET", path, headers={"Authorization": f"{scheme} {GOOD}"})).must(200)


@pytest.fixture
async def eddsa(valkey: str, tmp_path: Path) -> AsyncIterator[tuple[Shop, Ed25519PrivateKey]]:
    """A shop that knows the brand's public key, and no shared secret; and the private key."""
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    env = {"FLASHSALE_SHOPPER_PUBLIC_KEY": str(tmp_path / "key.pem"), "FLASHSALE_SHOPPER_SECRET": ""}
    async with app_on(valkey, env) as url, Shop(url) as shop:
        yield shop, key


async def test_tokens_of_a_key_pair(eddsa: tuple[Shop, Ed25519PrivateKey]) -> None:
    shop, key = eddsa
    sale = new_sale_id()
    (await shop.define(sale)).must(201)
    good = jwt.encode(claims("c-1"), key, algorithm="EdDSA")
    assert (await shop.reserve(sale, "c-1", bearer=good)).must(201)["customer"] == "c-1"
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    header = {"alg": "HS256", "typ": "JWT"}
    async with untouched(shop, sale):
        for bad in (
            jwt.encode(claims("c-2"), Ed25519PrivateKey.generate(), algorithm="EdDSA"),
            jwt.encode(claims("c-2"), SECRET, algorithm="HS256"),
            jwt.encode(claims("c-2"), "", algorithm="none"),
            # The public key is no secret; whoever takes it for the shared one must not get in.
            compact(header, claims("c-2"), pem),
            compact(header, claims("c-2"), pem.strip()),
            compact(header, claims("c-2"), raw.decode("latin-1")),
            compact(header, claims("c-2"), ""),
            compact({"alg": "EdDSA", "typ": "JWT"}, claims("c-2"), pem),
        ):
            (await shop.reserve(sale, "c-2", bearer=bad)).refused(401, "unauthenticated")


async def test_nobody_sees_or_ends_what_is_another_customers(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    async with untouched(shop, sale):
        for other in ("c-2", "C-1", "c-1 ", "c-1\0"):
            (await shop.read(held, other)).refused(403, "forbidden")
            (await shop.cancel(held, other)).refused(403, "forbidden")
            assert await shop.mine(sale, other) == []
    assert (await shop.read(held, "c-1")).must(200)["status"] == "held"


async def mint(shop: Shop, *scopes: str) -> tuple[str, str]:
    """Id and secret of a new API key."""
    made = (await shop.ask("POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "k", "scopes": scopes})).must(
        201
    )
    return made["id"], made["key"]


async def test_keys_do_what_their_scopes_say(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    _, orders = await mint(shop, "orders")
    _, support = await mint(shop, "support")
    _, sales = await mint(shop, "sales")
    async with untouched(shop, sale):
        for key in (orders, support):
            for method, path, body in (
                ("PUT", f"/v1/sales/{sale}", definition()),
                ("POST", f"/v1/sales/{sale}/pause", None),
                ("POST", f"/v1/sales/{sale}/items/giulia/restock", {"units": 1}),
                ("GET", f"/v1/sales/{sale}/stats", None),
                ("GET", f"/v1/sales/{sale}/audit", None),
            ):
                (await shop.ask(method, path, bearer=key, json=body)).refused(403, "forbidden")
        for key in (orders, sales):
            for method in ("GET", "DELETE"):
                (await shop.ask(method, f"/v1/reservations/{held}", bearer=key)).refused(403, "forbidden")
        for key in (orders, support, sales):  # no key is a shopper
            (await shop.reserve(sale, "c-1", bearer=key)).refused(401, "unauthenticated")
        # and no shopper has a key
        (await shop.steer(sale, "close", bearer=token("c-1"))).refused(401, "unauthenticated")
        (await shop.ask("GET", "/v1/keys", bearer=token("root"))).refused(401, "unauthenticated")
    (await shop.steer(sale, "pause", bearer=sales)).must(200)
    assert (await shop.ask("GET", f"/v1/reservations/{held}", bearer=support)).must(200)["customer"] == "c-1"
    cancelled = await shop.ask("DELETE", f"/v1/reservations/{held}", bearer=support)
    assert cancelled.must(200)["status"] == "cancelled"


async def test_only_the_root_key_manages_keys(shop: Shop, valkey: str) -> None:
    key_id, secret = await mint(shop, "sales", "orders", "support")
    body = {"name": "more", "scopes": ["sales"]}
    (await shop.ask("POST", "/v1/keys", bearer=secret, json=body)).refused(403, "forbidden")
    (await shop.ask("GET", "/v1/keys", bearer=secret)).refused(403, "forbidden")
    (await shop.ask("DELETE", f"/v1/keys/{key_id}", bearer=secret)).refused(403, "forbidden")
    (known,) = (await shop.ask("GET", "/v1/keys", bearer=ROOT_KEY)).must(200)["keys"]
    assert known["id"] == key_id


async def test_the_life_of_a_key(shop: Shop, sale: str) -> None:
    answer = await shop.ask(
        "POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "ü 🚗", "scopes": ["support", "sales"]}
    )
    made = answer.must(201)
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(made) == {"id", "name", "scopes", "key", "created_at"}
    secret = made.pop("key")
    listed = await shop.ask("GET", "/v1/keys", bearer=ROOT_KEY)
    assert listed.must(200)["keys"] == [made]
    assert secret.encode() not in listed.body
    (await shop.steer(sale, "pause", bearer=secret)).must(200)
    path = f"/v1/keys/{made['id']}"
    assert (await shop.ask("DELETE", path, bearer=ROOT_KEY)).status == 204
    (await shop.ask("DELETE", path, bearer=ROOT_KEY)).refused(404, "not_found")
    assert (await shop.ask("GET", "/v1/keys", bearer=ROOT_KEY)).must(200)["keys"] == []
    async with untouched(shop, sale):
        (await shop.steer(sale, "resume", bearer=secret)).refused(401, "unauthenticated")
        (await shop.steer(sale, "resume", bearer=secret[:-1] + "-")).refused(401, "unauthenticated")
        (await shop.steer(sale, "resume", bearer="fsk_" + "0" * 12 + "_" + "A" * 43)).refused(
            401, "unauthenticated"
        )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name", "scopes"]),
        ({"name": "", "scopes": []}, ["name", "scopes"]),
        ({"name": "x" * 101, "scopes": "sales"}, ["name", "scopes"]),
        ({"name": 1, "scopes": {"sales": True}}, ["name", "scopes"]),
        ({"name": "a\0", "scopes": ["sales"]}, ["name"]),
        ({"name": "x", "scopes": ["root"]}, ["scopes[0]"]),
        ({"name": "x", "scopes": ["sales", "sales", None, 7, [], {}]}, [f"scopes[{n}]" for n in range(1, 6)]),
        ({"name": "x", "scopes": ["sales"], "key": "fsk_mine"}, ["key"]),
    ],
    ids=label,
)
async def test_keys_that_cannot_be(shop: Shop, body: Any, fields: list[str]) -> None:
    (await shop.ask("POST", "/v1/keys", bearer=ROOT_KEY, json=body)).invalid(*fields)
    assert (await shop.ask("GET", "/v1/keys", bearer=ROOT_KEY)).must(200)["keys"] == []


@pytest.mark.parametrize(
    "key_id", ["root", "%7D", "*", "%00", "x" * 10_240, "0123456789AB", "0123456789ab%0A"], ids=label
)
async def test_no_such_key(shop: Shop, key_id: str) -> None:
    (await shop.ask("DELETE", f"/v1/keys/{key_id}", bearer=ROOT_KEY)).refused(404, "not_found")


async def test_no_secret_is_logged(shop: Shop, shared_server: Server, sale: str) -> None:
    _, key = await mint(shop, "sales")
    shopper = token("a-customer-of-this-test")
    (await shop.reserve(sale, "", bearer=shopper, key="k")).must(201)
    (await shop.reserve(sale, "", bearer=forged(shopper))).refused(401, "unauthenticated")
    (await shop.steer(sale, "pause", bearer=key)).must(200)
    (await shop.steer(sale, "pause", bearer=key + "x")).refused(401, "unauthenticated")
    log = shared_server.program.err()
    assert "api.started" in log
    for secret in (ROOT_KEY, SECRET, key, shopper, shopper.split(".")[2]):
        assert secret not in log


async def test_guests_are_off_unless_asked_for(shop: Shop) -> None:
    (await shop.ask("POST", "/v1/guests")).refused(403, "forbidden")


async def test_guests(valkey: str) -> None:
    async with app_on(valkey, {"FLASHSALE_GUESTS": "1"}) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale)).must(201)
        answers = [await shop.ask("POST", "/v1/guests") for _ in range(2)]
        guests = [answer.must(201) for answer in answers]
        assert guests[0]["customer"] != guests[1]["customer"]
        assert answers[0].headers["Cache-Control"] == "no-store"
        for guest in guests:
            held = (await shop.reserve(sale, "", bearer=guest["token"])).must(201)
            assert held["customer"] == guest["customer"]
        await shop.audit(sale)
