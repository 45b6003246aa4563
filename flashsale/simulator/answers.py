"""Answers of the simulator over HTTP, and what each refusal is there."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from flashsale.simulator.ledger import LedgerError

STATUS_OF: Final = {"unknown_payment": 404, "unknown_refund": 404, "idempotency_mismatch": 422, "full": 503}
"""Statuses of what the ledger refuses; everything else is a 409."""

_REFUSALS: Final = {
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This can be done in another way only: see the header Allow."),
    413: ("too_large", "The body is too large."),
}

_encode = msgspec.json.Encoder().encode


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=_encode(body), status=status, content_type="application/json", headers=headers)


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer that says no."""
    return answer({"error": {"code": code, "message": message}}, status, headers)


def refusal_of(error: LedgerError) -> web.Response:
    """The answer to what the ledger refuses."""
    return refusal(status_of(error), error.code, error.message)


def refusal_of_http(error: web.HTTPException) -> web.Response:
    """The answer to what aiohttp refuses, in our words."""
    code, message = _REFUSALS.get(error.status, ("invalid", error.reason))
    allow = error.headers.get("Allow")
    return refusal(error.status, code, message, None if allow is None else {"Allow": allow})


def unreadable() -> web.Response:
    """The answer to what is not HTTP, or too long."""
    return refusal(400, "unreadable", "The request is not HTTP that can be read here.")


def status_of(error: LedgerError) -> int:
    """The status of what the ledger refuses."""
    return STATUS_OF.get(error.code, 409)
