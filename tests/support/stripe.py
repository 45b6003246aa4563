"""A real Stripe server for tests, localstripe, and the customer's browser at it.

What localstripe does not do, and tests therefore cannot see here: it takes no notice of idempotency keys, sends no
`payment_intent.amount_capturable_updated`, `payment_intent.canceled` or refund events, has no payment methods but cards
and SEPA debits, never verifies a key, and after a decline the same PaymentIntent cannot be paid any more. Each webhook
comes a second after its cause, with a real signature. `signed_event` makes the events that it does not send, signed by
Stripe's own library.
"""

import json
import secrets
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import stripe

from flashsale.providers.protocol import PaymentOrder
from flashsale.settings import Settings
from tests.process.programs import Program, eventually

SECRET_KEY = "sk_test_" + secrets.token_hex(12)
WEBHOOK_SECRET = "whsec_" + secrets.token_hex(16)
PUBLISHABLE_KEY = "pk_test_" + secrets.token_hex(12)

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000341"
CARD_WITH_3DS = "4000002500003155"

ORDER = PaymentOrder(
    shop="alfa",
    reservation="giulia.0.abc",
    attempt=2,
    customer="c-17",
    description="Giulia Milano",
    method="card",
    amount=3_300,
    currency="EUR",
)

_PROGRAM = Path(__file__).with_name("stripe_server.py")


class LocalStripe:
    """localstripe as a program of its own, its log in `folder`. As a context manager it runs inside the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program: Program | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._program = program = Program([str(_PROGRAM)], self._folder)

        def announced() -> str:
            assert program.process.poll() is None, program.err()
            return program.out()

        self.url = f"http://127.0.0.1:{int(eventually(announced, 'localstripe says where it is'))}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._program is not None
        self._program.end()

    def settings(self, **changes: Any) -> Settings:
        """Settings of a shop whose Stripe this is; `Settings.to_env` makes an environment of them."""
        return Settings.model_validate(
            {
                "payment_provider": "stripe",
                "stripe_secret_key": SECRET_KEY,
                "stripe_webhook_secret": WEBHOOK_SECRET,
                "stripe_publishable_key": PUBLISHABLE_KEY,
                "stripe_api_base": self.url,
                **changes,
            }
        )

    async def empty(self) -> None:
        """Forget every object, webhook, call and fault."""
        await self._ask("DELETE", "/_config/everything")

    async def send_webhooks_to(self, url: str, secret: str = WEBHOOK_SECRET) -> None:
        """Every event goes to this one address from now on."""
        await self._ask("POST", "/_config/webhooks/shop", json={"url": url, "secret": secret})

    async def calls(self, method: str = "POST") -> list[dict[str, Any]]:
        """What was called with this method so far: path, idempotency_key, version, telemetry and form."""
        return [call for call in await self._ask("GET", "/_config/calls") if call["method"] == method]

    async def fail_next(
        self,
        method: str,
        path: str,
        status: int | None,
        *,
        carried_out: bool = False,
        captured_before: str = "",
        **error: Any,
    ) -> None:
        """The next call of this method to a path that begins so is answered with an error, or not at all (None).

        It is carried out nevertheless when `carried_out` says so; `captured_before` is a payment that somebody else
        captures just before it.
        """
        fault = {
            "method": method,
            "path": path,
            "status": status,
            "carried_out": carried_out,
            "captured_before": captured_before,
            "error": {"type": "invalid_request_error", "message": "As the test wished.", **error},
        }
        await self._ask("POST", "/_config/faults", json=fault)

    async def intent(self, payment_id: str) -> dict[str, Any]:
        """The PaymentIntent as it is."""
        return dict(await self._ask("GET", f"/v1/payment_intents/{payment_id}"))

    async def pay(self, payment_id: str, card: str = GOOD_CARD) -> dict[str, Any]:
        """Pay as the customer's page does through Stripe's elements; with 3DS, `authenticate` comes next.

        Answers the PaymentIntent, or `{"error": ...}` when the card is declined. Stripe itself takes the publishable key
        and the client secret for it; localstripe wants a secret key.
        """
        card_form = {
            "card[number]": card,
            "card[exp_month]": "12",
            "card[exp_year]": "40",
            "card[cvc]": "123",
        }
        method = await self._ask("POST", "/v1/payment_methods", data={"type": "card", **card_form})
        path = f"/v1/payment_intents/{payment_id}"
        await self._ask("POST", path, data={"payment_method": method["id"]})
        return dict(await self._ask("POST", f"{path}/confirm", refused=402))

    async def authenticate(self, client_secret: str, *, success: bool = True) -> dict[str, Any]:
        """Answer the bank's question (3-D Secure) as the customer does."""
        payment_id = client_secret.split("_secret_", maxsplit=1)[0]
        form = {"key": PUBLISHABLE_KEY, "client_secret": client_secret, "success": str(success).lower()}
        path = f"/v1/payment_intents/{payment_id}/_authenticate"
        return dict(await self._ask("POST", path, data=form, refused=402))

    async def refunds(self, payment_id: str) -> list[dict[str, Any]]:
        """The refunds of a payment."""
        return list((await self._ask("GET", f"/v1/refunds?payment_intent={payment_id}"))["data"])

    async def refund(self, payment_id: str, amount: int) -> None:
        """Give some of it back, in Stripe's units, as somebody does on Stripe's pages."""
        await self._ask("POST", "/v1/refunds", data={"payment_intent": payment_id, "amount": str(amount)})

    async def set_refund_status(self, refund_id: str, status: str) -> None:
        """Let a refund fail at the customer's bank, or be under way; at localstripe each has succeeded at once."""
        await self._ask("POST", f"/_config/refunds/{refund_id}", json={"status": status})

    async def offer_only(self, *types: str) -> None:
        """The account has only these payment method types switched on."""
        await self._ask("POST", "/_config/offers", json=types)

    async def _ask(self, method: str, path: str, *, refused: int = 0, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {SECRET_KEY}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, headers=headers, **options) as answer,
        ):
            body = await answer.text()
            assert answer.status in {200, refused}, f"{method} {path}: {answer.status} {body}"
            return json.loads(body) if body else None


def signed(
    body: str, *, secret: str = WEBHOOK_SECRET, timestamp: int | None = None
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook, signed by Stripe's library, now or at another second."""
    header = stripe.WebhookSignature.generate_signature_header(body, secret, timestamp)
    return {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}, body.encode()


def signed_event(kind: str, thing: dict[str, Any], **how: Any) -> tuple[dict[str, str], bytes]:
    """A webhook of this type about this object, as Stripe sends it."""
    event = {
        "id": f"evt_{secrets.token_hex(8)}",
        "object": "event",
        "api_version": stripe.api_version,
        "created": thing["created"],
        "type": kind,
        "livemode": False,
        "data": {"object": thing},
    }
    return signed(json.dumps(event), **how)
