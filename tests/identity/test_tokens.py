"""Shopper tokens: what is accepted, and that every refusal names its reason and nothing secret."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flashsale.identity.tokens import EARLY_SECONDS, MAX_TOKEN_CHARACTERS, ShopperTokens, TokenError

SECRET = "the-brand-and-the-shop-share-this"
OTHER_SECRET = "somebody-else-made-this-secret-up"
NOW = 1_800_000_000.5
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC_PEM = PRIVATE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ENDS = int(NOW) + 600
CLAIMS = {"sub": "c-17", "aud": "flashsale", "iat": int(NOW) - 60, "exp": ENDS}


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(claims: object, *, header: object = None, secret: str = SECRET) -> str:
    """A compact HS256 token of anything at all, made without the code under test and without PyJWT."""
    head = segment({"alg": "HS256", "typ": "JWT"} if header is None else header)
    message = f"{head}.{segment(claims)}"
    return f"{message}.{segment(hmac.digest(secret.encode(), message.encode(), 'sha256'))}"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


@pytest.fixture(params=["first sight", "known header"])
def tokens(request: pytest.FixtureRequest) -> ShopperTokens:
    """Verifies the same way when a header comes for the first time and when the fast reading knows it."""
    both = ShopperTokens(SECRET, PUBLIC_PEM)
    if request.param == "known header":
        assert both.verify(signed(CLAIMS), NOW) == "c-17"
        assert both._read_usual(signed(CLAIMS), NOW) == ("c-17", CLAIMS["exp"])
    return both


def reason(tokens: ShopperTokens, token: str) -> str:
    with pytest.raises(TokenError) as caught:
        tokens.verify(token, NOW)
    text = str(caught.value)
    assert SECRET not in text
    assert text.endswith(".")
    return text


def test_a_valid_token_names_its_customer(tokens: ShopperTokens) -> None:
    assert tokens.verify(signed(CLAIMS), NOW) == "c-17"
    assert tokens.verify(jwt.encode(CLAIMS, SECRET, "HS256"), NOW) == "c-17"


@pytest.mark.parametrize("customer", ["a", "用户-17", "🦊" * 64, "x" * 256, "a b\x00c", "  "])
def test_any_unicode_text_of_256_bytes_is_a_customer(tokens: ShopperTokens, customer: str) -> None:
    assert tokens.verify(signed(CLAIMS | {"sub": customer}), NOW) == customer


@pytest.mark.parametrize("audience", [["flashsale"], ["other", "flashsale"]])
def test_an_audience_may_be_a_list(tokens: ShopperTokens, audience: list[str]) -> None:
    assert tokens.verify(signed(CLAIMS | {"aud": audience}), NOW) == "c-17"


def test_further_claims_and_header_fields_are_nobodys_business(tokens: ShopperTokens) -> None:
    extra = {"iss": "https://login.example", "jti": "17", "nested": {"a": [1, 2.5, None]}}
    token = signed(CLAIMS | extra, header={"alg": "HS256", "kid": "2026-11"})
    assert tokens.verify(token, NOW) == "c-17"


def test_eddsa_beside_hs256(tokens: ShopperTokens) -> None:
    assert tokens.verify(jwt.encode(CLAIMS, PRIVATE_KEY, "EdDSA"), NOW) == "c-17"
    assert "signature" in reason(tokens, jwt.encode(CLAIMS, OTHER_PRIVATE_KEY, "EdDSA"))


def test_eddsa_alone_and_hs256_alone() -> None:
    only_eddsa, only_hs256 = ShopperTokens(None, PUBLIC_PEM), ShopperTokens(SECRET, None)
    assert only_eddsa.verify(jwt.encode(CLAIMS, PRIVATE_KEY, "EdDSA"), NOW) == "c-17"
    assert only_hs256.verify(signed(CLAIMS), NOW) == "c-17"
    assert "algorithm" in reason(only_eddsa, signed(CLAIMS))
    assert "algorithm" in reason(only_hs256, jwt.encode(CLAIMS, PRIVATE_KEY, "EdDSA"))


@pytest.mark.parametrize(
    "key",
    [PUBLIC_PEM, PUBLIC_PEM.strip(), "", "0" * 32, PUBLIC_PEM.splitlines()[1]],
    ids=["pem", "stripped", "empty", "zeros", "body"],
)
def test_the_public_key_is_never_a_shared_secret(key: str) -> None:
    """Algorithm confusion: an HS256 token signed with the public key, which anyone may know."""
    for tokens in (ShopperTokens(None, PUBLIC_PEM), ShopperTokens(SECRET, PUBLIC_PEM)):
        reason(tokens, signed(CLAIMS, secret=key))


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "hs256", 7, None, [], {}], ids=repr
)
def test_no_other_algorithm(tokens: ShopperTokens, algorithm: object) -> None:
    header = {"alg": algorithm, "typ": "JWT"}
    assert "algorithm" in reason(tokens, signed(CLAIMS, header=header))
    reason(tokens, f"{segment(header)}.{segment(CLAIMS)}.")


def test_other_real_algorithms(tokens: ShopperTokens) -> None:
    assert "algorithm" in reason(tokens, jwt.encode(CLAIMS, generate_ec_key(SECP256R1()), "ES256"))
    assert "algorithm" in reason(tokens, jwt.encode(CLAIMS, SECRET * 2, "HS512"))
    header = segment({"typ": "JWT"})
    message = f"{header}.{segment(CLAIMS)}"
    signature = segment(hmac.digest(SECRET.encode(), message.encode(), "sha256"))
    assert "algorithm" in reason(tokens, f"{message}.{signature}")


def test_forged_signatures(tokens: ShopperTokens) -> None:
    assert "signature" in reason(tokens, signed(CLAIMS, secret=OTHER_SECRET))
    head, _, signature = signed(CLAIMS).split(".")
    assert "signature" in reason(tokens, f"{head}.{segment(CLAIMS | {'sub': 'c-18'})}.{signature}")
    message = f"{head}.{segment(CLAIMS)}"
    truncated = hmac.digest(SECRET.encode(), message.encode(), "sha256")[:16]
    assert "signature" in reason(tokens, f"{message}.{segment(truncated)}")
    unkeyed = hashlib.sha256(message.encode()).digest()
    assert "signature" in reason(tokens, f"{message}.{segment(unkeyed)}")


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        (without("exp"), "no exp"),
        (without("sub"), "no sub"),
        (without("aud"), "no aud"),
        (CLAIMS | {"exp": None}, "no exp"),
        (CLAIMS | {"exp": int(NOW)}, "expired"),
        (CLAIMS | {"exp": NOW + 0.4}, "expired"),
        (CLAIMS | {"exp": 0}, "expired"),
        (CLAIMS | {"exp": -1}, "expired"),
        (CLAIMS | {"exp": str(int(NOW) + 600)}, "exp claim"),
        (CLAIMS | {"exp": True}, "exp claim"),
        (CLAIMS | {"exp": [1]}, "exp claim"),
        (CLAIMS | {"exp": float("inf")}, "exp claim"),
        (CLAIMS | {"exp": float("nan")}, "exp claim"),
        (CLAIMS | {"nbf": int(NOW) + EARLY_SECONDS + 1}, "not valid yet"),
        (CLAIMS | {"iat": int(NOW) + EARLY_SECONDS + 1}, "not valid yet"),
        (CLAIMS | {"nbf": "now"}, "nbf claim"),
        (CLAIMS | {"nbf": None}, "nbf claim"),
        (CLAIMS | {"aud": "flashsales"}, "aud must be"),
        (CLAIMS | {"aud": "Flashsale"}, "aud must be"),
        (CLAIMS | {"aud": ""}, "no aud"),
        (CLAIMS | {"aud": []}, "no aud"),
        (CLAIMS | {"aud": ["other"]}, "aud must be"),
        (CLAIMS | {"aud": ["flashsale", 7]}, "aud must be"),
        (CLAIMS | {"aud": {"flashsale": 1}}, "aud must be"),
        (CLAIMS | {"sub": ""}, "1 to 256"),
        (CLAIMS | {"sub": "x" * 257}, "1 to 256"),
        (CLAIMS | {"sub": "🦊" * 65}, "1 to 256"),
        (CLAIMS | {"sub": 17}, "must be text"),
        (CLAIMS | {"sub": ["c-17"]}, "must be text"),
        (CLAIMS | {"sub": "c-\ud800"}, "Unicode"),
        (CLAIMS | {"jti": 17}, "not valid"),
        ([CLAIMS], "not a signed"),
        ("c-17", "not a signed"),
        (b"{not json", "not a signed"),
        (b"\xff\xfe\xfd", "not a signed"),
    ],
)
def test_claims_that_are_refused(tokens: ShopperTokens, claims: object, word: str) -> None:
    assert word in reason(tokens, signed(claims))


def test_a_token_may_be_a_little_early_and_never_late(tokens: ShopperTokens) -> None:
    early = CLAIMS | {"nbf": int(NOW) + EARLY_SECONDS, "iat": int(NOW) + EARLY_SECONDS}
    assert tokens.verify(signed(early), NOW) == "c-17"
    assert tokens.verify(signed(CLAIMS | {"exp": int(NOW) + 1}), NOW) == "c-17"
    assert tokens.verify(signed(CLAIMS | {"exp": NOW + 100.25, "nbf": NOW - 0.5}), NOW) == "c-17"


def test_the_clock_of_the_machine_is_the_default() -> None:
    tokens = ShopperTokens(SECRET, None)
    assert tokens.verify(tokens.issue("c-17", 60)) == "c-17"
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(tokens.issue("c-17", 60, now_s=1_000_000_000))


def test_shapes_that_are_refused(tokens: ShopperTokens) -> None:
    good = signed(CLAIMS)
    head, payload, signature = good.split(".")
    for token in (
        "",
        ".",
        "..",
        "...",
        "c-17",
        f"{head}.{payload}",
        f"{head}.{payload}.",
        f"{head}..{signature}",
        f".{payload}.{signature}",
        f"{good}.{signature}",
        f"{good}.",
        f".{good}",
        f" {good}",
        f"{good} ",
        f"{good}\n",
        f"{head}.\t{payload}.{signature}",
        f"{good}=",
        f"{head}=.{payload}.{signature}",
        f"{head}.{payload}=.{signature}",
        good.replace(".", "·"),
        good[:-1] + "é",
        good + "\udc80",
        good + "\x00",
        f"Bearer {good}",
    ):
        reason(tokens, token)


def test_base64_has_one_spelling(tokens: ShopperTokens) -> None:
    """The last character of a 32 byte signature carries two unused bits, which must be zeros."""
    good = signed(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(good[-1])
    assert last % 4 == 0
    for twin in alphabet[last + 1 : last + 4]:
        reason(tokens, good[:-1] + twin)
    # Signed correctly over a payload whose own last character carries unused bits.
    head = good.partition(".")[0]
    payload = next(p for n in range(3) if len(p := segment(CLAIMS | {"pad": "x" * n})) % 4 == 3)
    odd = payload[:-1] + alphabet[alphabet.index(payload[-1]) + 1]
    for spelling, accepted in ((payload, True), (odd, False), (payload[:9] + "+" + payload[10:], False)):
        message = f"{head}.{spelling}"
        token = f"{message}.{segment(hmac.digest(SECRET.encode(), message.encode(), 'sha256'))}"
        if accepted:
            assert tokens.verify(token, NOW) == "c-17"
        else:
            assert "not a signed" in reason(tokens, token)


def test_critical_and_detached_headers_are_refused(tokens: ShopperTokens) -> None:
    extras: tuple[dict[str, object], ...] = (
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"kid": 7},
    )
    for extra in extras:
        reason(tokens, signed(CLAIMS, header={"alg": "HS256"} | extra))


def test_huge_tokens_are_refused_unread(tokens: ShopperTokens) -> None:
    large = signed(CLAIMS | {"pad": "x" * 5_000})
    assert tokens.verify(large, NOW) == "c-17"
    huge = signed(CLAIMS | {"pad": "x" * 7_000})
    assert len(huge) > MAX_TOKEN_CHARACTERS
    assert "longer than" in reason(tokens, huge)
    assert "not a signed" in reason(tokens, signed(b"[" * 5_000))
    assert "not a signed" in reason(tokens, signed(b'{"exp":' + b"9" * 5_000 + b"}"))


def test_known_headers_are_bounded_and_only_learnt_from_good_tokens() -> None:
    tokens = ShopperTokens(SECRET, None)
    reason(tokens, signed(CLAIMS, secret=OTHER_SECRET))
    reason(tokens, signed(CLAIMS | {"exp": 1}))
    assert tokens._headers_known == set()
    for number in range(200):
        assert tokens.verify(signed(CLAIMS, header={"alg": "HS256", "kid": str(number)}), NOW) == "c-17"
    assert len(tokens._headers_known) == 32


class Clock:
    """This machine's clock, as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = float(NOW)
        monkeypatch.setattr("flashsale.identity.tokens.time", self)

    def time(self) -> float:
        return self.now


def test_a_good_token_is_read_once_and_ends_when_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tokens = Clock(monkeypatch), ShopperTokens(SECRET, PUBLIC_PEM)
    readings: list[str] = []
    reading = tokens._read_any

    def read(token: str, now: float) -> tuple[str, float]:
        readings.append(token)
        return reading(token, now)

    monkeypatch.setattr(tokens, "_read_any", read)
    token = signed(CLAIMS)
    for _ in range(3):
        assert tokens.verify(token) == "c-17"
    assert len(readings) == 1
    clock.now = ENDS - 0.001
    assert tokens.verify(token) == "c-17"
    clock.now = ENDS
    with pytest.raises(TokenError, match="has expired"):
        tokens.verify(token)


def test_a_refused_token_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tokens = Clock(monkeypatch), ShopperTokens(SECRET, None)
    early = signed(CLAIMS | {"nbf": NOW + 60})
    for token in (early, signed(CLAIMS, secret=OTHER_SECRET), "a.b.c", ""):
        with pytest.raises(TokenError):
            tokens.verify(token)
    assert tokens._known == tokens._known_before == {}
    clock.now += 60
    assert tokens.verify(early) == "c-17"


def test_not_every_token_is_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    monkeypatch.setattr("flashsale.identity.tokens.MOST_REMEMBERED", 3)
    tokens = ShopperTokens(SECRET, None)
    for number in range(20):
        assert tokens.verify(signed(CLAIMS | {"sub": f"c-{number}"})) == f"c-{number}"
        assert len(tokens._known) <= 3
        assert len(tokens._known_before) <= 3
    assert len(tokens._known) + len(tokens._known_before) > 3


@pytest.mark.parametrize("secret", ["s", SECRET, "x" * 63, "x" * 64, "x" * 65, "x" * 500, "schlüssel-🗝" * 3])
def test_secrets_of_any_length_sign_what_the_library_verifies(secret: str) -> None:
    tokens = ShopperTokens(secret, None)
    for _ in range(2):
        assert tokens.verify(signed(CLAIMS, secret=secret), NOW) == "c-17"
    assert tokens._read_usual(signed(CLAIMS, secret=secret), NOW) == ("c-17", CLAIMS["exp"])
    assert tokens._read_usual(signed(CLAIMS, secret=secret + "x"), NOW) is None


def test_issued_tokens() -> None:
    tokens = ShopperTokens(SECRET, PUBLIC_PEM)
    token = tokens.issue("c-17", 600, now_s=NOW)
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "sub": "c-17",
        "aud": "flashsale",
        "iat": int(NOW),
        "exp": int(NOW) + 600,
    }
    assert tokens.verify(token, NOW + 599) == "c-17"
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(token, NOW + 600)
    for customer in ("", "x" * 257, "\ud800"):
        with pytest.raises(ValueError, match="sub claim"):
            tokens.issue(customer, 600)
    with pytest.raises(ValueError, match="only with a shared secret"):
        ShopperTokens(None, PUBLIC_PEM).issue("c-17", 600)


RSA_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "secret",
    ["", PUBLIC_PEM, RSA_CERTIFICATE, '{"kty":"oct","k":"c2VjcmV0"}', "ssh-ed25519 AAAA"],
    ids=["empty", "pem", "certificate", "jwk", "ssh"],
)
def test_secrets_that_are_none(secret: str) -> None:
    with pytest.raises(ValueError, match="secret is empty, or is a key of another kind") as caught:
        ShopperTokens(secret, None)
    assert not secret or secret not in str(caught.value)


def test_public_keys_that_are_none() -> None:
    p256 = (
        generate_ec_key(SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        ShopperTokens(None, p256.decode())
    for pem in ("", "no pem", "\ud800", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(ValueError, match="not a PEM public key"):
            ShopperTokens(None, pem)
    with pytest.raises(ValueError, match="a secret, a public key or both"):
        ShopperTokens(None, None)
