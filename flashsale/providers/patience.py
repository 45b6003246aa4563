"""Patience with a provider that fails for a moment, for whoever has no queue to come back to: a walk through its books."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import stamina

from flashsale.providers.protocol import ProviderError

TRIES: Final = 6
SECONDS_MOST: Final = 60.0

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """What the call answers, asked again a few times while it may work later.

    Raises:
        ProviderError: the provider refuses, or is away for longer.
    """
    async for attempt in stamina.retry_context(
        on=passes,
        attempts=TRIES,
        timeout=SECONDS_MOST,
        wait_initial=0.1,
        wait_jitter=0.1,
        wait_max=5.0,
    ):
        with attempt:
            return await call()
    raise AssertionError("the last try returns or raises")


def passes(error: Exception) -> bool:
    """Whether the same call may work later."""
    return isinstance(error, ProviderError) and error.retry
