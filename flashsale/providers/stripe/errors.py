"""What Stripe refuses and what goes wrong on the way, told apart: what may work later, and what never will."""

from typing import Final

import aiohttp
import stripe
import structlog

from flashsale.providers.protocol import ProviderError

TROUBLE: Final = (stripe.StripeError, aiohttp.ClientError, TimeoutError, OSError)
"""Everything that a call may raise. The library lets what happens while an answer is read through as it is."""

_UNREACHABLE: Final = "Stripe cannot be reached."
_BUSY: Final = "Stripe has a fault or too many calls."
REFUSED: Final = "This payment method cannot be used for this purchase. Please choose another."
_NOT_NOW: Final = "Payment is not possible at the moment."
_REASONS: Final = {
    "amount_too_small": "The amount is too small for this payment method.",
    "amount_too_large": "The amount is too large for this payment method.",
}
_MAX_TEXT: Final = 500

_log = structlog.get_logger(__name__)


class CallError(ProviderError):
    """A call to Stripe that did not work."""

    def __init__(self, message: str, *, retry: bool, status: int | None = None, code: str = "") -> None:
        super().__init__(message, retry=retry)
        self.status = status
        """Of Stripe's answer; None when there was none, so that nobody knows whether the call was carried out."""
        self.code = code
        """Stripe's own name of the reason."""


def call_error(what: str, error: Exception) -> CallError:
    """The error of a call named `what`. Its particulars go to the log, fit words for the customer into the message."""
    if not isinstance(error, stripe.StripeError) or isinstance(error, stripe.APIConnectionError):
        _log.info("stripe.unreachable", call=what, error=type(error).__name__)
        return CallError(_UNREACHABLE, retry=True)
    message, retry = _verdict(error)
    (_log.info if retry else _log.warning)(
        "stripe.refused",
        call=what,
        kind=type(error).__name__,
        status=error.http_status,
        code=error.code,
        request_id=error.request_id,
        detail=(error.user_message or "")[:_MAX_TEXT],
    )
    return CallError(message[:_MAX_TEXT], retry=retry, status=error.http_status, code=error.code or "")


def _verdict(error: stripe.StripeError) -> tuple[str, bool]:
    """What to tell the customer, and whether the same call may work later."""
    if isinstance(error, stripe.CardError):
        return error.user_message or REFUSED, False
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return _NOT_NOW, False
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError):
        return _REASONS.get(error.code or "", REFUSED), False
    # Too many calls (429), the first call with this key still under way (409), a fault over there (5xx).
    return _BUSY, True
