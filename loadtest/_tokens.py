"""Tokens of shoppers: signed with the shop's secret, as the brand's login does it."""

import time

import jwt

LIFE_SECONDS = 6 * 3600


def signed(customer: str, secret: str, *, life_seconds: int = LIFE_SECONDS) -> str:
    """A token of this customer, HS256."""
    claims = {"sub": customer, "aud": "flashsale", "exp": int(time.time()) + life_seconds}
    return jwt.encode(claims, secret, algorithm="HS256")
