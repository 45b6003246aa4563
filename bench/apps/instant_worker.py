"""The background work with a payment provider that answers at once: what a checkout costs us, and nobody else.

Everything is the simulator's adapter but `start`, which opens no payment anywhere: it makes the id that follows from the
order, so that the load of `bench/apps/checkout_load.py` knows it too and can send the signed webhook a provider would send.
"""

import os

from flashsale.logs import configure_logs
from flashsale.model.payment import PaymentStatus
from flashsale.process.work_main import run_work
from flashsale.providers.protocol import PaymentOrder, Started
from flashsale.providers.simulator import Simulator
from flashsale.settings import load_settings


async def start(_provider: Simulator, order: PaymentOrder) -> Started:
    token = order.reservation.rpartition(".")[2]
    return Started(
        f"pay_{token}", PaymentStatus.REQUIRES_ACTION, {"type": "redirect", "url": "http://127.0.0.1/"}
    )


if __name__ == "__main__":
    setattr(Simulator, "start", start)  # noqa: B010 - the one difference; a plain assignment has another type
    settings = load_settings(os.environ)
    configure_logs(settings, "work")
    run_work(settings)
