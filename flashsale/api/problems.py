"""Refusals as RFC 9457 problem documents."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from flashsale.api.openapi.problems import BY_CODE
from flashsale.api.replies import PROBLEM_JSON, Reply
from flashsale.model.faults import Fault, InvalidError
from flashsale.store.client import StoreRecoveringError, StoreUnavailableError

RETRY_AFTER_S = 1
PAYMENTS_RETRY_AFTER_S = 60
RECOVERING_RETRY_AFTER_S = 5


class Problem(Exception):  # noqa: N818 - it is named for what RFC 9457 calls it
    """A refusal; what it says is for the caller to read, so it never holds a secret.

    `code` is one of `flashsale.api.openapi.problems.KINDS`, which gives status and title; `extra` are further members.
    """

    def __init__(
        self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.kind = BY_CODE[code]
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    def reply(self) -> Reply:
        """The problem as an answer."""
        kind = self.kind
        body = {
            "type": f"/docs#{kind.code}",
            "title": kind.title,
            "status": kind.status,
            "code": kind.code,
            "detail": self.detail,
            **self.extra,
        }
        return Reply(kind.status, orjson.dumps(body), PROBLEM_JSON, self.headers)

    def response(self) -> web.Response:
        """The same for aiohttp to send."""
        return self.reply().response()


def invalid(faults: Iterable[Fault]) -> Problem:
    """422 with every fault."""
    errors = [{"pointer": fault.pointer, "field": fault.field, "detail": fault.detail} for fault in faults]
    many = f"{len(errors)} fields are" if len(errors) > 1 else "One field is"
    return Problem(
        "invalid", f"{many} wrong: {', '.join(e['field'] or 'the body' for e in errors)}.", errors=errors
    )


def unavailable(error: StoreUnavailableError) -> Problem:
    """503; tells whether the request may have been carried out."""
    unknown = " Whether the request was carried out is not known; repeat it with the same Idempotency-Key."
    detail = error.reason[:1].upper() + error.reason[1:] + "."
    if isinstance(error, StoreRecoveringError):
        headers = {"Retry-After": str(RECOVERING_RETRY_AFTER_S)}
        return Problem("recovering", f"{detail} Nothing was changed.", headers=headers)
    return Problem(
        "unavailable",
        detail + (unknown if error.applied is None else " Nothing was changed."),
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def busy(detail: str = "Too many requests are waiting. Nothing was reserved; try again.") -> Problem:
    """503: nothing was done."""
    return Problem("busy", detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def internal() -> Problem:
    """500: a fault of ours."""
    return Problem("internal", "The server could not answer; the fault is in its log.")


def payments_unavailable(detail: str) -> Problem:
    """503: nothing was done, and trying again soon is of little use."""
    return Problem("payments_unavailable", detail, headers={"Retry-After": str(PAYMENTS_RETRY_AFTER_S)})


def unknown_sale(sale: str, detail: str | None = None) -> Problem:
    """404."""
    return Problem("unknown_sale", detail or f"There is no sale {sale[:100]}.")


def unknown_reservation() -> Problem:
    """404."""
    return Problem("unknown_reservation", "There is no such reservation.")


def unauthenticated(detail: str) -> Problem:
    """401 with the challenge that HTTP asks for."""
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="flashsale"'})


def of_error(error: Exception) -> Problem | None:
    """The problem that a failure of the engine is; None for a fault of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InvalidError):
        return invalid(error.faults)
    if isinstance(error, StoreUnavailableError):
        return unavailable(error)
    return None


def of_http_exception(error: web.HTTPException, request: web.Request) -> Problem:
    """What aiohttp itself refuses: no such path, no such method, too large a body."""
    if error.status == 405:
        allow = error.headers.get("Allow", "")
        return Problem(
            "method_not_allowed", f"{request.method} is not possible here.", headers={"Allow": allow}
        )
    if error.status == 413:
        return Problem("too_large", "The body has more than 65536 bytes.")
    if error.status == 404:
        return Problem("not_found", f"There is nothing at {request.path[:200]}.")
    return Problem("malformed", error.reason or "The request cannot be read.")
