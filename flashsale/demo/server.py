"""The server of a demo: one of its own, with secrets for this one run, and trouble with its payment provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from flashsale.process.own_program import foreign_environment
from flashsale.process.own_server import Address, ServerSecrets, own_server


@dataclass(frozen=True)
class Trouble:
    """What goes wrong between the payment provider and the shop: parts of a hundred webhooks."""

    twice_percent: float = 10.0
    lost_percent: float = 3.0
    delayed_percent: float = 5.0
    delay_seconds: float = 2.0
    reconcile_seconds: int = 1
    """How often the shop compares its books with the provider's: that is how lost webhooks are found."""

    latency_ms: int = 25
    """What each answer of the provider takes, as if it were not on this machine."""

    def environment(self) -> dict[str, str]:
        """The same as settings of the server and of the simulator it brings along."""
        return {
            "FLASHSALE_SIMULATOR_DUPLICATE_PERCENT": str(self.twice_percent),
            "FLASHSALE_SIMULATOR_LOSE_PERCENT": str(self.lost_percent),
            "FLASHSALE_SIMULATOR_DELAY_PERCENT": str(self.delayed_percent),
            "FLASHSALE_SIMULATOR_DELAY_SECONDS": str(self.delay_seconds),
            "FLASHSALE_SIMULATOR_LATENCY_MS": str(self.latency_ms),
            "FLASHSALE_RECONCILE_SECONDS": str(self.reconcile_seconds),
        }


@dataclass(frozen=True)
class Secrets(ServerSecrets):
    """The keys of one demo run."""

    def crowd_environment(self) -> dict[str, str]:
        """The environment of the crowd, which signs its tokens and may do nothing else."""
        return foreign_environment() | {"FLASHSALE_SHOPPER_SECRET": self.shopper_secret}

    @staticmethod
    def order_system_environment(key: str) -> dict[str, str]:
        """The environment of the order system, with the key that was made for it."""
        return foreign_environment() | {"FLASHSALE_API_KEY": key}


@asynccontextmanager
async def embedded_server(
    keys: Secrets, data_dir: Path, workers: int, trouble: Trouble
) -> AsyncIterator[Address]:
    """Run a server with its own Valkey and payment simulator in `data_dir`, and end it in any case."""
    settings = trouble.environment() | {"FLASHSALE_PAGES_BRAND": "flashsale demo"}
    async with own_server(keys, data_dir, workers, settings) as address:
        yield address
