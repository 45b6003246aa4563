"""What the tests of the pages share: one browser, one shop with a provider, and a sale and devices for each test.

Browser and shop live as long as the session, so these tests run in one event loop: each file says
`pytest.mark.asyncio(loop_scope="session")` among its marks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.support.browser import Chromium, Device, Tab
from tests.support.page_login import Login, login_page
from tests.support.stage import PagesHouse, Stage
from tests.support_http.server import Server

OpenDevice = Callable[..., Awaitable[Device]]
Visit = Callable[..., Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Chromium]:
    """The browser of the session."""
    async with Chromium.started() as running:
        yield running


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """The shop of the session, and everything around it. A test that stops anything brings a house of its own."""
    with PagesHouse(tmp_path_factory.mktemp("pages")) as running:
        yield running
        assert "internal_error" not in running.server.program.err(), running.server.program.err()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def brand_login() -> AsyncIterator[Login]:
    """The brand's own login of the session."""
    async with login_page() as running:
        yield running


@pytest.fixture
def login(brand_login: Login) -> Login:
    """The brand's own login, as good as new."""
    brand_login.lasts_s, brand_login.asked = 3600, 0
    return brand_login


@pytest.fixture(scope="session")
def members(house: PagesHouse, brand_login: Login) -> Iterator[Server]:
    """Another server of the same shop that knows its customers by the brand's own login."""
    server = house.beside(brand_login.env)
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(house: PagesHouse) -> AsyncIterator[Stage]:
    """One sale, not defined yet. What is left of it in the end has to add up."""
    async with Stage(house) as playing:
        yield playing
        if (await playing.shop.ask("GET", f"/v1/sales/{playing.sale}")).status == 200:
            await playing.shop.audit(playing.sale)


@pytest_asyncio.fixture(loop_scope="session")
async def devices(chromium: Chromium) -> AsyncIterator[OpenDevice]:
    """Opens a device: `await devices(language="zh")`. Each is closed, and has to be free of faults, in the end."""
    async with AsyncExitStack() as stack:

        async def fresh(**options: Any) -> Device:
            return await stack.enter_async_context(chromium.device(**options))

        yield fresh


@pytest.fixture
def visit(stage: Stage, devices: OpenDevice) -> Visit:
    """Opens the sale, and its page on a new device: `await visit(stock=1, device={"language": "en"})`."""

    async def open_page(*, device: Mapping[str, Any] | None = None, **definition: Any) -> Tab:
        await stage.open(**definition)
        return await (await devices(**(device or {}))).open(stage.url)

    return open_page
