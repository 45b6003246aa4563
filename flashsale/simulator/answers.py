"""Answers of the simulator over HTTP, and what each refusal is there."""

from typing import Final

import msgspec
from aiohttp import web

from flashsale.simulator.ledger import LedgerError

STATUS_OF: Final = {"unknown_payment": 404, "unknown_refund": 404, "idempotency_mismatch": 422, "full": 503}
"""Statuses of what the ledger refuses; everything else is a 409."""

encode = msgspec.json.Encoder().encode


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=encode(body), status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer that says no."""
    return answer({"error": {"code": code, "message": message}}, status, headers)


def status_of(error: LedgerError) -> int:
    """The status of what the ledger refuses."""
    return STATUS_OF.get(error.code, 409)
