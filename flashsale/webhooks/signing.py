"""Secrets and signatures of webhooks, as Standard Webhooks 1.0 has them.

A signature is `v1,<base64>` of the HMAC-SHA256 of `<id>.<unix seconds>.<body>`. The header has one for each secret in
force, with spaces between them, so that a receiver may change its secret at any time of the overlap.
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A secret that nobody can guess, in the form that receivers' libraries take."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(keys: Sequence[str], message_id: str, at_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret, in their order.

    Raises:
        ValueError: one of them is no secret; the message does not repeat it.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), at_s, body)
    digests = (hmac.digest(_key(key), signed, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook's secret begins with {PREFIX}")
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError("a webhook's secret is not base64") from None
