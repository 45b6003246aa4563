"""The fast reading of shopper tokens against PyJWT, on whatever Hypothesis makes up."""

import base64
import hmac
import json
from typing import Any

import jwt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flashsale.identity.tokens import EARLY_SECONDS, MAX_CUSTOMER_BYTES, ShopperTokens, TokenError

SECRET = "the-brand-and-the-shop-share-this"
HEADER = {"alg": "HS256", "typ": "JWT"}
FAR = 40_000_000_000
"""An instant in the year 3237: PyJWT reads the machine's clock, so the claims stay well clear of it."""

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
instants = st.sampled_from([0, 1, -1, 1_000.5, FAR, FAR + 0.5, 10**30, "12", True, None, 1e308]) | json_values
claims_made_up = st.fixed_dictionaries(
    {},
    optional={
        "sub": st.text(max_size=70) | st.text(st.characters(), max_size=5) | json_values,
        "aud": st.sampled_from(["flashsale", "other", ["flashsale"], ["a", "flashsale"], [], ["a", 1]])
        | json_values,
        "exp": st.sampled_from([FAR, FAR + 1]) | instants,
        "nbf": instants,
        "iat": instants,
        "jti": st.text(max_size=3) | json_values,
        "iss": json_values,
        "extra": json_values,
    },
)


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token_of(payload: bytes) -> str:
    message = f"{segment(json.dumps(HEADER).encode())}.{segment(payload)}"
    return f"{message}.{segment(hmac.digest(SECRET.encode(), message.encode(), 'sha256'))}"


def known() -> ShopperTokens:
    """A verifier that has met the header, so that its fast reading is at work."""
    tokens = ShopperTokens(SECRET, None)
    usual = token_of(json.dumps({"sub": "c", "aud": "flashsale", "exp": FAR}).encode())
    assert tokens.verify(usual) == "c"
    assert tokens._read_usual(usual, 0.0) == ("c", FAR)
    return tokens


def by_library(token: str) -> str | None:
    """PyJWT's own verdict, clock and all: no leeway at the end, a little before the start."""
    decode: dict[str, Any] = {"key": SECRET, "algorithms": ["HS256"], "audience": "flashsale"}
    require = ["exp", "sub", "aud"]
    try:
        jwt.decode(token, **decode, options={"require": require, "verify_nbf": False, "verify_iat": False})
        claims = jwt.decode(token, **decode, leeway=EARLY_SECONDS, options={"require": require})
    except jwt.PyJWTError:
        return None
    return str(claims["sub"])


def by_us(tokens: ShopperTokens, token: str) -> str | None:
    try:
        return tokens.verify(token)
    except TokenError:
        return None


def is_stricter(claims: dict[str, Any]) -> bool:
    """Whether one of the rules that we add to PyJWT's refuses these claims."""
    times = [claims[name] for name in ("exp", "nbf", "iat") if name in claims]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in times):
        return True
    try:
        return not 0 < len(str(claims.get("sub")).encode()) <= MAX_CUSTOMER_BYTES
    except UnicodeEncodeError:
        return True


@settings(max_examples=600)
@given(claims=claims_made_up, ascii_only=st.booleans())
@example(claims={"sub": "c", "aud": "flashsale", "exp": FAR, "exp2": float("nan")}, ascii_only=True)
@example(claims={"sub": "c", "aud": "flashsale", "exp": FAR, "extra": 2**64}, ascii_only=True)
@example(claims={"sub": "c\ud800", "aud": "flashsale", "exp": FAR}, ascii_only=True)
@example(claims={"sub": "c", "aud": "flashsale", "exp": 10**400}, ascii_only=True)
def test_both_decide_the_same_about_signed_claims(claims: dict[str, Any], ascii_only: bool) -> None:
    tokens = known()
    text = json.dumps(claims, ensure_ascii=ascii_only)
    token = token_of(text.encode("utf-8", "surrogatepass"))
    expected = None if is_stricter(claims) else by_library(token)
    assert by_us(tokens, token) == expected
    fast = tokens._read_usual(token, 2_000_000_000.0)
    assert fast is None or fast == (expected, claims["exp"])


@settings(max_examples=400)
@given(payload=st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
@example(payload=json.dumps({"sub": "c", "aud": "flashsale", "exp": FAR}).encode("utf-16"))
@example(payload=b'\xef\xbb\xbf{"sub":"c","aud":"flashsale","exp":40000000000}')
@example(payload=b'{"sub":"c","aud":"flashsale","exp":40000000000,"sub":"d"}')
@example(payload=b'{"sub":"c","aud":"flashsale","exp":1,"exp":40000000000}')
def test_both_decide_the_same_about_signed_bytes(payload: bytes) -> None:
    token = token_of(payload)
    assert by_us(known(), token) == by_library(token)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A valid token with one to three characters replaced, dropped, doubled or added."""
    claims = {"sub": draw(st.text(min_size=1, max_size=20)), "aud": "flashsale", "exp": FAR}
    good = token_of(json.dumps(claims).encode())
    token = good
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(token) - 1))
        new = draw(st.sampled_from([*ALPHABET, ".", "=", "+", "/", " ", "\n", "é", ""]))
        width = draw(st.integers(0, 2))
        token = token[:at] + new + token[at + width :]
    return "" if token == good else token


@settings(max_examples=600)
@given(token=mutations())
@example(token="")
def test_every_mutation_is_refused_by_both(token: str) -> None:
    tokens = known()
    assert tokens._read_usual(token, 0.0) is None
    assert by_us(tokens, token) is None
    # PyJWT lets the signature alone carry the padding that RFC 7515 leaves out, and nothing else.
    assert by_library(token.removesuffix("=")) is None or token.endswith("=")
