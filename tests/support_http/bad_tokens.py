"""Shoppers' tokens that a shop must refuse, each with what is wrong with it."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support_http.client import ROOT_KEY, SECRET, claims, token


def compact(header: dict[str, Any], payload: dict[str, Any], secret: str) -> str:
    """A token made by hand, signed with HMAC-SHA256 whatever its header says."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload)]
    signature = hmac.digest(secret.encode(), b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def forged(good: str) -> str:
    """The token with another customer in it, and the signature as it was."""
    header, _, signature = good.split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims("somebody-else")).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


LATER_S = 86_400
"""Longer than from here to the last test."""
GOOD = token("c-1")
BAD_TOKENS = {
    "empty": " ",
    "no token": "Bearer",
    "garbage": "garbage",
    "two parts": ".".join(GOOD.split(".")[:2]),
    "signature cut off": GOOD.rpartition(".")[0] + ".",
    "signature changed": GOOD[:-2] + ("AA" if GOOD[-2:] != "AA" else "BB"),
    "forged": forged(GOOD),
    "expired": token("c-1", exp=int(time.time()) - 1),
    "expired long ago": token("c-1", exp=0),
    "without exp": token("c-1", exp=None),
    "exp as text": token("c-1", exp="tomorrow"),
    "not yet": token("c-1", nbf=int(time.time()) + LATER_S, exp=int(time.time()) + 2 * LATER_S),
    "issued in the future": token("c-1", iat=int(time.time()) + LATER_S, exp=int(time.time()) + 2 * LATER_S),
    "wrong audience": token("c-1", aud="another-shop"),
    "without audience": token("c-1", aud=None),
    "audience beside": token("c-1", aud="flashsale-2"),
    "without sub": jwt.encode({**claims(), "sub": None}, SECRET, algorithm="HS256"),
    "no sub": token("c-1", sub=None),
    "empty sub": token(""),
    "number as sub": compact({"alg": "HS256", "typ": "JWT"}, claims(7), SECRET),
    "list as sub": compact({"alg": "HS256", "typ": "JWT"}, claims(["c-1"]), SECRET),
    "sub of 257 bytes": token("x" * 257),
    "sub of 10 KB": token("x" * 10_240),
    "alg none": jwt.encode(claims(), "", algorithm="none"),
    "alg None signed": compact({"alg": "none"}, claims(), SECRET),
    "alg nOnE": compact({"alg": "nOnE"}, claims(), ""),
    "no alg": compact({"typ": "JWT"}, claims(), SECRET),
    "alg a list": compact({"alg": ["HS256"]}, claims(), SECRET),
    "another key": jwt.encode(claims(), SECRET[:-1] + "x", algorithm="HS256"),
    "HS384": jwt.encode(claims(), SECRET + SECRET, algorithm="HS384"),
    "HS512": jwt.encode(claims(), SECRET + SECRET, algorithm="HS512"),
    "RS256": jwt.encode(claims(), rsa.generate_private_key(65537, 2048), algorithm="RS256"),
    "ES256": jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
    "EdDSA": jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"),
    "critical header": jwt.encode(claims(), SECRET, algorithm="HS256", headers={"crit": ["x"], "x": 1}),
    "key in header": jwt.encode(claims(), "k" * 32, algorithm="HS256", headers={"jwk": {"kty": "oct", "k": "a2s"}}),
    "root key": ROOT_KEY,
    "unknown api key": "fsk_0123456789ab_" + "A" * 43,
}  # fmt: skip
