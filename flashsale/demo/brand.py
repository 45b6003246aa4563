"""The brand as a client of its shop: patient, as a machine that is busy may keep the shop from its store for seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from flashsale.client import ApiError, Client, Json

TRIES = 10
PAUSE_SECONDS = 1.0
"""Before the next try, unless the shop asks for another one."""


class Brand(Client):
    """Asks again while the shop says that it is busy; nothing that a demo asks does harm when it is done twice."""

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Json:
        """As `Client.request`, several times if need be."""
        for _ in range(TRIES - 1):
            try:
                return await super().request(
                    method, path, body, headers=headers, timeout_seconds=timeout_seconds
                )
            except ApiError as refusal:
                if refusal.status != 503:
                    raise
                await asyncio.sleep(refusal.retry_after_seconds or PAUSE_SECONDS)
        return await super().request(method, path, body, headers=headers, timeout_seconds=timeout_seconds)
