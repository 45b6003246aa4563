"""A shop that is paid through Stripe: server, worker and store as programs, and localstripe as the Stripe server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flashsale.process.embedded import EmbeddedValkey
from tests.process.programs import Program, eventually
from tests.support.server import MEMORY_ONLY, binary
from tests.support.stripe import LocalStripe
from tests.support_http.server import PATIENT, Server


@dataclass
class StripeShop:
    """What runs."""

    stripe: LocalStripe
    server: Server


@contextmanager
def stripe_shop(folder: Path, env: Mapping[str, str] | None = None, **settings: Any) -> Iterator[StripeShop]:
    """Runs one; `env` is the server's alone. The worker must not have met a fault in the end."""
    with (
        LocalStripe(folder) as stripe,
        EmbeddedValkey(folder / "store", binary=binary(), extra_config=MEMORY_ONLY) as store,
    ):
        known = stripe.settings(redis_url=store.url, reconcile_seconds=0, log_format="json", **settings)
        common = {**known.to_env(), **PATIENT}
        server = Server(folder, [], env={**common, "FLASHSALE_PORT": "0", **(env or {})})
        worker = Program(["-m", "flashsale", "work"], folder, common)
        try:
            eventually(lambda: "work.ready" in worker.err(), "the worker works")
            yield StripeShop(stripe, server)
            assert "fault" not in worker.err(), worker.err()
        finally:
            worker.end()
            server.stop()
