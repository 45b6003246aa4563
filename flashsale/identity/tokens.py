"""Shopper tokens: the JSON Web Tokens (RFC 7519) that a brand's login issues to its customers.

A token is signed with HS256 and a shared secret, or with EdDSA and an Ed25519 key pair of which
this server knows the public half. Both may be configured at once; the header of a token picks only
among the configured ones, and each algorithm has its own key, so none is ever checked with the
key of the other.

Claims: `sub` is the customer (1 to 256 bytes of UTF-8), `aud` is `flashsale` (or a list that holds
it), `exp` is required, `nbf` and `iat` are honoured. A token ends at the second it says; it may
be up to `EARLY_SECONDS` early, since the clock of a login server may be a little ahead of ours.

PyJWT is the rule for what a valid token is. It takes longer than all the rest of a reservation, so the usual
shape of an HS256 token is also read by hand, and whatever is not cleanly accepted there is decided by PyJWT. The fast
reading accepts only what PyJWT accepts; the tests hold the two against each other. A token that was good stays good
until it ends, so it is read once: a page that looks up its own reservations before the sale opens has had it read.
"""

import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
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
MOST_REMEMBERED: Final = 32_768
"""Tokens in each of two generations: about 20 MB when both are full."""
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")
# The last character may carry unused bits, which must be zeros: so much base64 leaves open.
_LAST_CHARACTERS: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"",
    b"AQgw",
    b"AEIMQUYcgkosw048",
)
"""By the length of the text modulo 4."""
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


class _Claims(msgspec.Struct):
    """The claims that count, each in its plainest form."""

    sub: str
    aud: str
    exp: int
    nbf: int = 0
    iat: int = 0
    jti: str = ""


_decode_claims = msgspec.json.Decoder(_Claims).decode


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
        # Its key is worked in once; each token is signed with a copy.
        self._hmac = HMAC(self._secret or b"none", SHA256())
        if public_key_pem is not None:
            self._keys["EdDSA"] = _loaded_public_key(public_key_pem)
        # Header segments of HS256 tokens that PyJWT has accepted: only who holds the secret can add one.
        self._headers_known: set[str] = set()
        # Tokens that were good -> customer, exp. The older generation is dropped when the younger one is full.
        self._known: dict[str, tuple[str, float]] = {}
        self._known_before: dict[str, tuple[str, float]] = {}

    def verify(self, token: str, now_s: float | None = None) -> str:
        """The customer (`sub`) of a valid token. Raises TokenError with the reason when it is not valid.

        `now_s` is the Unix time in seconds to judge it by; None means this machine's clock.
        """
        now = time.time() if now_s is None else now_s
        known = self._known.get(token) or self._known_before.get(token)
        # It was in force when it was read; by a clock that was set back it may not be, and is read again.
        if known is not None and known[1] > now and now_s is None:
            return known[0]
        customer, expires_at_s = self._read_usual(token, now) or self._read_any(token, now)
        if now_s is None:
            self._remember(token, customer, expires_at_s)
        return customer

    def _remember(self, token: str, customer: str, expires_at_s: float) -> None:
        if len(self._known) >= MOST_REMEMBERED:
            self._known_before, self._known = self._known, {}
        self._known[token] = customer, expires_at_s

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

    def _read_usual(self, token: str, now: float) -> tuple[str, float] | None:
        """Customer and exp of a valid HS256 token of the usual shape; None means that PyJWT must decide."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        header_end, payload_end = token.find("."), token.rfind(".")
        if token[:header_end] not in self._headers_known:
            return None
        signed = token[:payload_end].encode()
        signing = self._hmac.copy()
        signing.update(signed)
        expected = binascii.b2a_base64(signing.finalize(), newline=False).translate(_TO_URL_SAFE)[:-1]
        if not hmac.compare_digest(expected, token[payload_end + 1 :].encode()):
            return None
        payload = signed[header_end + 1 :].translate(_TO_STANDARD)
        if payload[-1:] not in _LAST_CHARACTERS[len(payload) % 4]:
            return None
        try:
            claims = _decode_claims(
                binascii.a2b_base64(payload + b"==="[: -len(payload) % 4], strict_mode=True)
            )
        except ValueError:
            return None
        return _usual_customer(claims, now)

    def _read_any(self, token: str, now: float) -> tuple[str, float]:
        """Customer and exp of any valid token, by PyJWT and the rules that are ours. Raises TokenError."""
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
        return customer, _seconds(claims, "exp")


def _usual_customer(claims: _Claims, now: float) -> tuple[str, float] | None:
    """Customer and exp if the claims are in force and the customer is of usual length, else None."""
    latest = now + EARLY_SECONDS
    if claims.aud != AUDIENCE or claims.exp <= now or claims.nbf > latest or claims.iat > latest:
        return None
    # 64 characters are at most 256 bytes of UTF-8, so the usual customer need not be encoded to be measured.
    if not 0 < len(claims.sub) <= MAX_CUSTOMER_BYTES // 4:
        return None
    return claims.sub, claims.exp


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
