"""The background work with a payment provider inside it that answers at once and is always right.

    python tests/support/instant_provider.py

Everything is the simulator's adapter but the two calls that are made here. What they answer follows from what they are
asked, as it does at a provider that is asked again under the same key; so whoever pays knows it too, and can send the
signed webhook that a provider would send.
"""

import os
from unittest.mock import patch

from flashsale.logs import configure_logs
from flashsale.model.payment import PaymentStatus
from flashsale.process.work_main import run_work
from flashsale.providers.protocol import PaymentOrder, Started
from flashsale.providers.simulator import Simulator
from flashsale.settings import load_settings


async def start(_provider: Simulator, order: PaymentOrder) -> Started:
    token = order.reservation.rpartition(".")[2]
    action = {"type": "redirect", "url": "http://127.0.0.1/"}
    return Started(f"pay_{token}", PaymentStatus.REQUIRES_ACTION, action)


async def refund(_provider: Simulator, payment_id: str, _amount: int) -> str:
    return f"re_{payment_id}"


if __name__ == "__main__":
    settings = load_settings(os.environ)
    configure_logs(settings, "work")
    with patch.object(Simulator, "start", start), patch.object(Simulator, "refund", refund):
        run_work(settings)
