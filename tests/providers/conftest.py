"""What the tests of providers share: a real Stripe server, and our adapter connected to it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from flashsale.providers import simulator
from flashsale.providers.protocol import Provider
from flashsale.providers.stripe import adapter, from_settings
from tests.support.server import PATIENCE_S
from tests.support.stripe import LocalStripe
from tests.support.webhook_receiver import Receiver
from tests.support.webhook_receiver import receiver as listening_receiver


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that stalls with the machine is waited for, unless a test says otherwise."""
    monkeypatch.setattr(simulator, "TIMEOUT_SECONDS", PATIENCE_S)
    monkeypatch.setattr(adapter, "CONNECT_SECONDS", PATIENCE_S)
    monkeypatch.setattr(adapter, "CALL_SECONDS", PATIENCE_S)


@pytest.fixture(scope="module")
def running_stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    with LocalStripe(tmp_path_factory.mktemp("stripe")) as running:
        yield running


@pytest.fixture
async def local_stripe(running_stripe: LocalStripe) -> LocalStripe:
    """A Stripe server with nothing in it."""
    await running_stripe.empty()
    return running_stripe


@pytest.fixture
async def stripe_provider(local_stripe: LocalStripe) -> AsyncIterator[Provider]:
    """Our adapter, connected to `local_stripe`."""
    provider = from_settings(local_stripe.settings(shop="alfa"))
    assert provider is not None
    yield provider
    await provider.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where webhooks may be sent."""
    async with listening_receiver() as receiver:
        yield receiver
