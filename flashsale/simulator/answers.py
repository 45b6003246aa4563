"""Answers of the simulator over HTTP, and what each refusal is there."""

from typing import Final

import msgspec

from flashsale.simulator.http import Answer
from flashsale.simulator.ledger import LedgerError

STATUS_OF: Final = {"unknown_payment": 404, "unknown_refund": 404, "idempotency_mismatch": 422, "full": 503}
"""Statuses of what the ledger refuses; everything else is a 409."""

_encode = msgspec.json.Encoder().encode


def answer(body: object) -> Answer:
    """A JSON answer."""
    return Answer(200, _encode(body))


def refusal(status: int, code: str, message: str) -> Answer:
    """A JSON answer that says no."""
    return Answer(status, _encode({"error": {"code": code, "message": message}}))


def refusal_of(error: LedgerError) -> Answer:
    """The answer to what the ledger refuses."""
    return refusal(status_of(error), error.code, error.message)


def status_of(error: LedgerError) -> int:
    """The status of what the ledger refuses."""
    return STATUS_OF.get(error.code, 409)
