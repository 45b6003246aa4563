"""The page on which a shopper pays: no scripts, nothing from elsewhere, and it says on every view that nobody is charged."""

import base64
import hashlib
from html import escape
from typing import Final

from flashsale.model.currency import DECIMALS
from flashsale.providers.protocol import PaymentState
from flashsale.simulator.records import Payment

STYLE: Final = """
body { margin: 0; background: #f2f4f7; color: #16202b; font: 1.1rem/1.5 system-ui, sans-serif; }
main { max-width: 26rem; margin: 0 auto; padding: 1.5rem; }
.note { background: #fff3c4; border-radius: .5rem; padding: .5rem 1rem; font-size: .95rem; }
.amount { font-size: 2.2rem; font-weight: 700; margin: 1rem 0 0; overflow-wrap: anywhere; }
.soft { color: #51606f; margin: 0; overflow-wrap: anywhere; }
form { margin-top: 1.5rem; }
button { display: block; width: 100%; min-height: 3.2rem; margin: .75rem 0; border: 0; border-radius: .5rem;
  font: inherit; font-weight: 600; background: #dde3ea; color: inherit; }
button.pay { background: #0b6b3a; color: #fff; }
@media (prefers-color-scheme: dark) {
  body { background: #10161d; color: #e8edf2; } .note { background: #4a3f10; } .soft { color: #a3b1bf; }
  button { background: #2a3542; } }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = (
    "default-src 'none'",
    f"style-src 'sha256-{_STYLE_HASH}'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
HEADERS: Final = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What to serve the page with. Its address holds the shopper's key, so it is named to nobody."""

_SAID: Final = {
    PaymentState.AUTHORISED: "Thank you. You have paid.",
    PaymentState.PAID: "Thank you. You have paid.",
    PaymentState.CANCELLED: "This payment was cancelled. Nothing was taken.",
}


def money(amount: int, currency: str) -> str:
    """An amount as people write it: 3300000 CNY is `33,000.00 CNY`."""
    decimals = DECIMALS.get(currency, 2)
    return f"{amount / 10**decimals:,.{decimals}f} {currency}"


def payment_page(payment: Payment, key: str, notice: str = "") -> str:
    """The page of a payment; `notice` says why the last click did nothing."""
    order = payment.order
    can_pay = payment.state in {PaymentState.OPEN, PaymentState.FAILED} and not payment.final
    said = notice or payment.error or _SAID.get(payment.state, "")
    parts = [
        f'<p class="soft">{escape(order.metadata.get("shop", ""))}</p>',
        f'<p class="amount">{escape(money(payment.amount, payment.currency))}</p>',
        f'<p class="soft">{escape(order.description)}</p>',
        f'<p class="soft">{escape(order.method.replace("_", " "))}</p>',
    ]
    if said:
        parts.append(f'<p role="status"><strong>{escape(said)}</strong></p>')
    if can_pay:
        parts.append(
            f'<form method="post" action="{escape(payment.id)}">'
            f'<input type="hidden" name="k" value="{escape(key)}">'
            '<button class="pay" name="outcome" value="succeed">Pay</button>'
            '<button name="outcome" value="decline">Decline</button>'
            '<button name="outcome" value="refuse">Refuse for good</button></form>'
        )
    return _page("Pay", "".join(parts))


def message_page(message: str) -> str:
    """A page that only says something."""
    return _page("Payment", f'<p role="status"><strong>{escape(message)}</strong></p>')


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        '<p class="note">This is a simulated payment. Nobody is charged.</p>'
        f"{body}</main></body></html>\n"
    )
