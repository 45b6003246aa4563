"""The page on which a shopper pays: no scripts, nothing from elsewhere, and it says on every view that nobody is charged."""

import base64
import hashlib
from html import escape
from typing import Final

from flashsale.model.currency import DECIMALS
from flashsale.providers.protocol import PaymentState
from flashsale.simulator.records import Payment

STYLE: Final = """
:root { color-scheme: light dark; --page: #eef1f5; --card: #fff; --text: #16202b; --soft: #51606f; --line: #d5dce4;
  --note: #fff3c4; --good: #e2f4e9; --bad: #fde8e6; --pay: #0b6b3a; --other: #e3e8ee; }
@media (prefers-color-scheme: dark) { :root { --page: #10161d; --card: #19222c; --text: #e8edf2; --soft: #a3b1bf;
  --line: #33404d; --note: #4a3f10; --good: #123d27; --bad: #4d1f1b; --other: #2a3542; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--page); color: var(--text); font: 1.05rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
main { max-width: 27rem; margin: 0 auto; padding: 1.5rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; }
@media (min-width: 40rem) { main { margin-top: 10vh; } }
p { margin: 0; }
.note { margin: -1.5rem -1.5rem 1.5rem; padding: .6rem 1.5rem; background: var(--note); font-size: .9rem;
  border-radius: .7rem .7rem 0 0; }
.amount { margin: .25rem 0; font-size: clamp(1.4rem, 7.5vw, 2.2rem); font-weight: 700; line-height: 1.25; }
.soft { color: var(--soft); }
.said { margin-top: 1.25rem; padding: .75rem 1rem; border-radius: .5rem; background: var(--bad); font-weight: 600; }
.good { background: var(--good); }
form { margin-top: 1.5rem; }
form .soft { margin-top: 1.25rem; font-size: .9rem; }
button { display: block; width: 100%; min-height: 3rem; margin-top: .6rem; border: 0; border-radius: .5rem; font: inherit;
  font-weight: 600; background: var(--other); color: inherit; cursor: pointer; }
button.pay, a.pay { background: var(--pay); color: #fff; }
a.pay { display: block; margin-top: 1.25rem; padding: .75rem 1rem; border-radius: .5rem; font-weight: 600;
  text-align: center; text-decoration: none; }
.back { margin-top: 1.25rem; font-size: .9rem; }
.back a { display: inline-block; padding: .6rem 0; color: inherit; }
button:focus-visible, a:focus-visible { outline: 3px solid #4c8dff; outline-offset: 2px; }
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

_PAID: Final = frozenset({PaymentState.AUTHORISED, PaymentState.PAID})
_THANKS: Final = "Thank you. You have paid, and may close this page."
_THANKS_AND_BACK: Final = "Thank you. You have paid."
_SAID: Final = {
    PaymentState.AUTHORISED: _THANKS,
    PaymentState.PAID: _THANKS,
    PaymentState.CANCELLED: "This payment was cancelled. Nothing was taken.",
}


def money(amount: int, currency: str) -> str:
    """An amount as people write it: 3300000 CNY is `33,000.00 CNY`."""
    decimals = DECIMALS.get(currency, 2)
    return f"{amount / 10**decimals:,.{decimals}f} {currency}"


def payment_page(payment: Payment, key: str, notice: str = "", *, back: str = "") -> str:
    """The page of a payment; `notice` says why the last click did nothing, `back` is where the shopper came from."""
    order = payment.order
    can_pay = payment.state in {PaymentState.OPEN, PaymentState.FAILED} and not payment.final
    said = notice or payment.error or _SAID.get(payment.state, "")
    if back and said == _THANKS:
        said = _THANKS_AND_BACK
    given_back = money(payment.refunded, payment.currency)
    lines = (
        ("soft", order.metadata.get("shop", "")),
        ("amount", money(payment.amount, payment.currency)),
        ("soft", order.description),
        ("soft", order.method.replace("_", " ").capitalize()),
        ("soft", f"{given_back} was given back." if payment.refunded else ""),
    )
    parts = [f'<p class="{kind}">{escape(text)}</p>' for kind, text in lines if text]
    if said:
        parts.append(_said(said, good=payment.state in _PAID))
    if can_pay:
        kept = f'<input type="hidden" name="return" value="{escape(back)}">' if back else ""
        parts.append(
            f'<form method="post" action="{escape(payment.id)}">'
            f'<input type="hidden" name="k" value="{escape(key)}">{kept}'
            '<button class="pay" name="outcome" value="succeed">Pay</button>'
            '<p class="soft">Or see what happens when it fails:</p>'
            '<button name="outcome" value="decline">Decline</button>'
            '<button name="outcome" value="refuse">Refuse for good</button></form>'
        )
    if back:
        link = f'href="{escape(back)}">Back to the shop</a>'
        parts.append(f'<p class="back"><a {link}</p>' if can_pay else f'<a class="pay" {link}')
    return _page("Pay", "".join(parts))


def message_page(message: str) -> str:
    """A page that only says something."""
    return _page("Payment", _said(message))


def _said(message: str, *, good: bool = False) -> str:
    return f'<p role="status" class="said{" good" if good else ""}">{escape(message)}</p>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        '<p class="note">This is a simulated payment. Nobody is charged.</p>'
        f"{body}</main></body></html>\n"
    )
