"""Webhooks as order systems manage them: registered, looked at, rotated, switched on, replayed and removed."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flashsale.model.webhooks import Attempt, Progress, Webhook, sorted_types
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import Head, WebhookStore
from flashsale.webhooks.addresses import REFUSED, BadUrlError, Guard, check_url
from flashsale.webhooks.signing import new_secret

LOOKUP_S: Final = 2.0
"""How long the lookup of a host's name may take when a webhook is registered."""
ID: Final = re.compile(r"wh_[0-9a-f]{16}")
_ID_BYTES: Final = 8


class UnknownSaleError(LookupError):
    """There is no such sale."""


@dataclass(frozen=True, slots=True)
class View:
    """A webhook, how far it is, and how far the sales are that it listens to."""

    id: str
    webhook: Webhook
    progress: Progress
    heads: dict[str, Head]


class Webhooks:
    """The webhooks of one store. Every method may raise `StoreUnavailableError`; None stands for an unknown webhook."""

    def __init__(self, store: WebhookStore, sales: SaleStore, guard: Guard) -> None:
        self._store = store
        self._sales = sales
        self._guard = guard

    async def create(self, url: str, types: Sequence[str], sale: str | None) -> tuple[str, Webhook]:
        """Registers a webhook: its id, and the webhook with its secret.

        It begins with what happens from now on in the sales that exist, and with the first event of those to come.
        Raises `BadUrlError` and `TooManyWebhooksError`.
        """
        parts = check_url(url)
        if not await self._guard.allows_name(parts.host or "", parts.port or 0, timeout_s=LOOKUP_S):
            raise BadUrlError(f"{REFUSED}, and this server lets webhooks go nowhere else")
        webhook = Webhook(
            url=url,
            types=sorted_types(types),
            sale=sale,
            created_at_ms=await self._store.now_ms(),
            secret=new_secret(),
        )
        webhook_id = f"wh_{secrets.token_hex(_ID_BYTES)}"
        heads = await self._heads(webhook)
        begins = {each: head.of(webhook) for each, head in heads.items() if head.of(webhook)}
        await self._store.add(webhook_id, webhook, begins)
        return webhook_id, webhook

    async def all(self) -> list[View]:
        """Every webhook, the oldest first."""
        found = await self._store.all()
        heads = await self._store.heads(await self._sales.sale_ids()) if found else {}
        return [
            View(webhook_id, webhook, await self._store.progress(webhook_id), _listened_to(webhook, heads))
            for webhook_id, webhook in found.items()
        ]

    async def get(self, webhook_id: str) -> View | None:
        """One webhook."""
        webhook = await self._store.get(webhook_id)
        return None if webhook is None else await self._view(webhook_id, webhook)

    async def remove(self, webhook_id: str) -> bool:
        """Removes a webhook; what is on its way may still arrive. False when there is none of this id."""
        return await self._store.remove(webhook_id)

    async def rotate(self, webhook_id: str) -> Webhook | None:
        """Gives a webhook a new secret; the old one signs too for a day."""
        secret, now_ms = new_secret(), await self._store.now_ms()
        return await self._store.change(webhook_id, lambda each: each.rotated(secret, now_ms))

    async def enable(self, webhook_id: str) -> View | None:
        """Switches a webhook on; it goes on where it was, and tries at once."""
        if await self._store.get(webhook_id) is None:
            return None
        await self._store.try_now(webhook_id)
        webhook = await self._store.change(webhook_id, Webhook.switched_on)
        return None if webhook is None else await self._view(webhook_id, webhook)

    async def replay(self, webhook_id: str, sale: str, after: int) -> View | None:
        """Delivers again what is behind a position in one sale, and switches the webhook on.

        Raises `UnknownSaleError`, also for a rehearsal, and `ValueError` for a position that the sale has not reached.
        """
        webhook = await self._store.get(webhook_id)
        if webhook is None:
            return None
        if webhook.sale not in {None, sale} or await self._sales.definition_text(sale) is None:
            raise UnknownSaleError(sale)
        heads = await self._store.heads([sale])
        if sale not in heads:  # a rehearsal
            raise UnknownSaleError(sale)
        head = heads[sale].of(webhook)
        if after > head:
            raise ValueError(f"the sale has reached {head}: there is nothing behind {after}")
        await self._store.move(webhook_id, sale, after)
        changed = await self._store.change(webhook_id, Webhook.switched_on)
        if changed is None:  # removed meanwhile: so is the position
            await self._store.forget(webhook_id)
            return None
        return await self._view(webhook_id, changed)

    async def attempts(self, webhook_id: str, *, sale: str | None, limit: int) -> list[Attempt] | None:
        """The last tries to deliver, the newest first."""
        if await self._store.get(webhook_id) is None:
            return None
        return await self._store.attempts(webhook_id, sale=sale, limit=limit)

    async def _view(self, webhook_id: str, webhook: Webhook) -> View:
        return View(webhook_id, webhook, await self._store.progress(webhook_id), await self._heads(webhook))

    async def _heads(self, webhook: Webhook) -> dict[str, Head]:
        return _listened_to(webhook, await self._store.heads(await self._sales.sale_ids()))


def _listened_to(webhook: Webhook, heads: dict[str, Head]) -> dict[str, Head]:
    return heads if webhook.sale is None else {k: v for k, v in heads.items() if k == webhook.sale}
