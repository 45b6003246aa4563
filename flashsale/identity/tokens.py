"""Shopper tokens: the JSON Web Tokens (RFC 7519) that a brand's login issues to its customers.

A token is signed with HS256 and a shared secret, or with EdDSA and an Ed25519 key pair of which
this server knows the public half. Both may be configured at once; the header of a token picks only
among the configured ones, and each algorithm has its own key, so none is ever checked with the
key of the other.

Claims: `sub` is the customer (1 to 256 bytes of UTF-8), `aud` is `flashsale` (or a list that holds
it), `exp` is required, `nbf` and `iat` are honoured. A token ends at the second it says; it may
be up to `EARLY_SECONDS` early, since the clock of a login server may be a little ahead of ours.

PyJWT is the rule for what a valid token is. It takes some 80 microseconds a token, so the usual shape of
an HS256 token is also read by hand in about five, and whatever is not cleanly accepted there is decided by
PyJWT. The fast reading accepts only what PyJWT accepts; the tests hold the two against each other.
"""

import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidSubjectError

AUDIENCE: Final = "flashsale"
EARLY_SECONDS: Final = 5
"""How far `nbf` and `iat` may lie ahead of this machine's clock. `exp` has no leeway."""
MAX_TOKEN_CHARACTERS: Final = 8192
MAX_CUSTOMER_BYTES: Final = 256

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_MAX_HEADERS_KNOWN: Final = 32
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

_NOT_COMPACT: Final = "The token is not a signed JSON Web Token in compact form."
_BAD_SIGNATURE: Final = "The signature of the token does not match."
_BAD_ALGORITHM: Final = "The token is signed with an algorithm that is not accepted here."

_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.InvalidSignatureError, _BAD_SIGNATURE),
    (jwt.InvalidAudienceError, f"The token is not meant for this service (aud must be {AUDIENCE})."),
    (InvalidSubjectError, "The sub claim of the token must be text."),
    (jwt.InvalidAlgorithmError, _BAD_ALGORITHM),
    (jwt.InvalidKeyError, _BAD_ALGORITHM),
    (jwt.DecodeError, _NOT_COMPACT),
)
"""What each refusal of PyJWT means, most precise first; its own texts may quote the token."""


class TokenError(Exception):
    """A token was refused. The text is one sentence that is safe to show to its bearer."""


class ShopperTokens:
    """Verifies shopper tokens, and issues them where a shared secret is configured.

    `secret` is the HS256 secret, `public_key_pem` an Ed25519 public key as PEM text; None means that the
    algorithm is not accepted. Raises ValueError when neither is given, when the secret is empty or is really
    a public key, and when the PEM is no Ed25519 public key. The text names neither value.
    """

    def __init__(self, secret: str | None, public_key_pem: str | None) -> None:
        if secret is None and public_key_pem is None:
            raise ValueError("shopper tokens need a secret, a public key or both")
        self._keys: dict[str, bytes | Ed25519PublicKey] = {}
        self._secret = b""
        if secret is not None:
            self._secret = _checked_secret(secret)
            self._keys["HS256"] = self._secret
        self._hmac = _HmacSha256(self._secret)
        if public_key_pem is not None:
            self._keys["EdDSA"] = _loaded_public_key(public_key_pem)
        # Header segments of HS256 tokens that PyJWT has accepted: only who holds the secret can add one.
        self._headers_known: set[str] = set()

    def verify(self, token: str, now_s: float | None = None) -> str:
        """The customer (`sub`) of a valid token. Raises TokenError with the reason when it is not valid.

        `now_s` is the Unix time in seconds to judge it by; None means this machine's clock.
        """
        now = time.time() if now_s is None else now_s
        customer = self._read_usual(token, now)
        return self._read_any(token, now) if customer is None else customer

    def issue(self, customer: str, ttl_seconds: int, now_s: float | None = None) -> str:
        """A new HS256 token for `customer` that is valid from now on for `ttl_seconds`.

        Raises ValueError when there is no secret to sign with, or the customer could never be verified.
        """
        if not self._secret:
            raise ValueError("tokens can be issued only with a shared secret (HS256)")
        try:
            _check_customer(customer)
        except TokenError as error:
            raise ValueError(str(error)) from None
        issued_at_s = int(time.time() if now_s is None else now_s)
        claims = {"sub": customer, "aud": AUDIENCE, "iat": issued_at_s, "exp": issued_at_s + ttl_seconds}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def _read_usual(self, token: str, now: float) -> str | None:
        """The customer of a valid HS256 token of the usual shape; None means that PyJWT must decide."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        header, _, rest = token.partition(".")
        if header not in self._headers_known:
            return None
        payload, _, signature = rest.partition(".")
        digest = self._hmac.digest(f"{header}.{payload}".encode())
        expected = binascii.b2a_base64(digest, newline=False).translate(_TO_URL_SAFE)[:-1]
        if not hmac.compare_digest(expected, signature.encode()):
            return None
        claims = _usual_claims(payload.encode())
        return None if claims is None else _usual_customer(claims, now)

    def _read_any(self, token: str, now: float) -> str:
        """The customer of any valid token, by PyJWT and the rules that are ours. Raises TokenError."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenError(f"The token is longer than {MAX_TOKEN_CHARACTERS} characters.")
        if not _COMPACT.fullmatch(token):
            raise TokenError(_NOT_COMPACT)
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            if not isinstance(algorithm, str) or algorithm not in self._keys:
                raise TokenError(_BAD_ALGORITHM)
            claims = jwt.decode(
                token,
                self._keys[algorithm],
                algorithms=[algorithm],
                audience=AUDIENCE,
                # Time is judged below, by the same rule for both readings and by the clock that was given.
                options={
                    "require": ["exp", "sub", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.MissingRequiredClaimError as error:
            raise TokenError(f"The token has no {error.claim} claim.") from None
        except jwt.PyJWTError as error:
            raise TokenError(_reason(error)) from None
        _check_times(claims, now)
        customer: str = claims["sub"]
        _check_customer(customer)
        if algorithm == "HS256" and len(self._headers_known) < _MAX_HEADERS_KNOWN:
            self._headers_known.add(token.partition(".")[0])
        return customer


class _HmacSha256:
    """HMAC-SHA256 (RFC 2104) with both hashes of the key made beforehand.

    It costs a third to a half of `hmac.digest`, which makes them anew for each message.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


def _usual_claims(payload: bytes) -> dict[str, Any] | None:
    """The claims of a payload in canonical base64 that hold no odd JSON, else None."""
    padded = payload.translate(_TO_STANDARD) + b"==="[: -len(payload) % 4]
    try:
        raw = binascii.a2b_base64(padded)
        claims = orjson.loads(raw)
    except ValueError:
        return None
    # a2b_base64 skips what is no base64, and lets the unused bits of the last character differ.
    if binascii.b2a_base64(raw, newline=False) != padded or type(claims) is not dict:
        return None
    return claims


def _usual_customer(claims: dict[str, Any], now: float) -> str | None:
    """The customer if each claim is in its plainest form and in force, else None."""
    if claims.get("aud") != AUDIENCE or type(claims.get("jti", "")) is not str:
        return None
    expires_at_s, not_before_s, issued_at_s = claims.get("exp"), claims.get("nbf", 0), claims.get("iat", 0)
    if not type(expires_at_s) is type(not_before_s) is type(issued_at_s) is int:
        return None
    if expires_at_s <= now or max(not_before_s, issued_at_s) > now + EARLY_SECONDS:
        return None
    customer = claims.get("sub")
    # 64 characters are at most 256 bytes of UTF-8, so the usual customer need not be encoded to be measured.
    if type(customer) is not str or not 0 < len(customer) <= MAX_CUSTOMER_BYTES // 4:
        return None
    return customer


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """Refuse claims that are over or not in force yet. Fractions are cut off, as PyJWT does."""
    if _seconds(claims, "exp") <= now:
        raise TokenError("The token has expired.")
    for name in ("nbf", "iat"):
        if name in claims and _seconds(claims, name) > now + EARLY_SECONDS:
            raise TokenError(f"The token is not valid yet ({name} is in the future).")


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    """A NumericDate claim in whole seconds: a number, though PyJWT would also take text and booleans."""
    value = claims[name]
    if not isinstance(value, bool) and isinstance(value, int | float):
        try:
            return int(value)
        except (OverflowError, ValueError):
            pass
    raise TokenError(f"The {name} claim of the token must be a number of seconds.")


def _check_customer(customer: str) -> None:
    """Refuse a customer that is empty, too long, or no Unicode text."""
    try:
        size = len(customer.encode())
    except UnicodeEncodeError:
        raise TokenError("The sub claim of the token is not valid Unicode text.") from None
    if not 0 < size <= MAX_CUSTOMER_BYTES:
        raise TokenError(f"The sub claim of the token must have 1 to {MAX_CUSTOMER_BYTES} bytes.")


def _reason(error: jwt.PyJWTError) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "The token is not valid."


def _checked_secret(secret: str) -> bytes:
    """The secret as bytes, filled up to the length that HS256 wants.

    Raises ValueError when it is empty, or is key material of another kind (a PEM, an SSH key, a JWK): with
    that, a public key that anyone may know would become the shared secret.
    """
    try:
        key = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ValueError("the shopper secret is empty, or is a key of another kind (PEM, SSH, JWK)") from None
    # HMAC itself fills a short key with zeros up to its block of 64 bytes, so this changes no signature; it
    # keeps PyJWT from warning at every token about what the settings check once, at start.
    return key.ljust(hashlib.sha256().digest_size, b"\0")


def _loaded_public_key(pem: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError("the shopper public key is not a PEM public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the shopper public key is not an Ed25519 key")  # noqa: TRY004 - a value, not a type
    return key
