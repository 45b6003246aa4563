"""Signatures of the simulator's webhooks: `t=<unix seconds>,v1=<hex>`, an HMAC-SHA256 of `<t>.<body>`, as Stripe's are.

The instant is part of what is signed, so that an old message cannot be sent again. Several `v1` may stand side by side while
a secret is being changed.
"""

import hmac
from typing import Final

from flashsale.providers.protocol import SignatureError

HEADER: Final = "Simulator-Signature"
MAX_PARTS: Final = 16


def signature(secret: bytes, at_s: int, body: bytes) -> str:
    """The value of the header for this body, signed at this instant."""
    return f"t={at_s},v1={_digest(secret, at_s, body)}"


def verify(header: str, secret: bytes, body: bytes, *, now_s: float, tolerance_s: int) -> None:
    """Raises `SignatureError` unless the body was signed with the secret within the tolerance, either way."""
    instants, digests = [], []
    for part in header.split(",", MAX_PARTS)[:MAX_PARTS]:
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isascii() and value.isdecimal() and len(value) <= 12:
            instants.append(int(value))
        elif name == "v1" and value.isascii():
            digests.append(value)
    if len(instants) != 1 or not digests:
        raise SignatureError("The signature cannot be read.")
    expected = _digest(secret, instants[0], body)
    if not any(hmac.compare_digest(expected, given) for given in digests):
        raise SignatureError("The signature is not the provider's.")
    if abs(now_s - instants[0]) > tolerance_s:
        raise SignatureError("The signature is too old, or of the future.")


def _digest(secret: bytes, at_s: int, body: bytes) -> str:
    return hmac.digest(secret, b"%d.%b" % (at_s, body), "sha256").hex()
