"""No more calls to a provider than it allows, all workers of all sales together; and none for a moment while it is away."""

import asyncio
from typing import Final

from flashsale.providers.protocol import Provider, ProviderError
from flashsale.store.payments import PaymentStore

_MOST_WAIT_S: Final = 1.0
FAULTS: Final = 10
"""Calls that may fail for a moment, one after the other, before a provider is taken to be away."""
PAUSE_S: Final = 2.0
"""How long nobody calls a provider that is away. Then one call goes through, and if it works all others."""


class Pacers:
    """Shares out the calls to each provider; the store keeps the clock of all workers."""

    def __init__(self, store: PaymentStore) -> None:
        self._store = store

    async def turn(self, provider: Provider) -> None:
        """Waits until one call may be made."""
        if provider.rate == 0:
            return
        while True:
            granted, wait_ms = await self._store.pace(provider.name, rate=provider.rate, wanted=1)
            if granted:
                return
            await asyncio.sleep(min(max(wait_ms, 1) / 1000, _MOST_WAIT_S))

    async def turns(self, provider: Provider, wanted: int) -> int:
        """How many of so many calls may be made now, without waiting."""
        if provider.rate == 0 or wanted == 0:
            return wanted
        granted, _ = await self._store.pace(provider.name, rate=provider.rate, wanted=wanted)
        return granted


class Breaker:
    """Keeps a worker from waiting for a provider that is away, while other jobs could be done.

    Its state is this worker's own: each finds out for itself.
    """

    def __init__(self) -> None:
        self._faults: dict[str, int] = {}
        self._closed_until: dict[str, float] = {}

    def check(self, provider: Provider) -> None:
        """Lets a call through.

        Raises:
            ProviderError: not now.
        """
        now = asyncio.get_running_loop().time()
        if now < self._closed_until.get(provider.name, 0.0):
            raise ProviderError(f"{provider.name} is away", retry=True)
        if self._faults.get(provider.name, 0) >= FAULTS:
            self._closed_until[provider.name] = now + PAUSE_S  # the others wait until this one has found out

    def heard(self, provider: Provider) -> None:
        """The provider has answered, be it with a refusal."""
        self._faults.pop(provider.name, None)
        self._closed_until.pop(provider.name, None)

    def failed(self, provider: Provider) -> None:
        """A call has failed for a moment."""
        faults = self._faults[provider.name] = self._faults.get(provider.name, 0) + 1
        if faults >= FAULTS:
            self._closed_until[provider.name] = asyncio.get_running_loop().time() + PAUSE_S
