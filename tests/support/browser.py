"""Chromium as a test drives it: devices with nothing in their storage, and what goes wrong on their pages.

    async with Chromium.started() as chromium:
        async with chromium.device(language="de") as device:        # 390 x 844, a phone
            tab = await device.open(url)
            await tab.until("open")
            await tab.press("buy")

A device ends with a failure if a page of it wrote an error to the console, threw one, broke its own security policy, asked
for anything off this machine, or was given a cookie; `device.expects(...)` names what a test provokes.
"""

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    Response,
    async_playwright,
    expect,
)

from tests.support.page_files import code, names

PATIENCE_MS: Final = 60_000
"""How long a page may take for what must come true; none comes near it unless the test fails."""
expect.set_options(timeout=PATIENCE_MS)
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
HERE: Final = frozenset({"127.0.0.1", "localhost"})
PHONE: Final = (390, 844)
DESK: Final = (1280, 900)
REFUSALS: Final = frozenset({400, 401, 403, 404, 409, 410, 422, 429, 503})
"""Answers of the API that are part of its contract, although Chromium writes an error to the console for each."""
LIMITS: Final = sorted(
    {
        int(limit)
        for name in names(".js")
        for limit in re.findall(r"(?:\b(?:TIMEOUT|SHOWN)_MS = |\btimeoutMs: )([\d_]+)", code(name))
        if int(limit) < PATIENCE_MS
    }
)
"""After so long the pages give up a request, or no longer show other tabs what they began, by their own scripts."""
PATIENT: Final = f"""{{
  const timer = setTimeout.bind(window);
  window.setTimeout = (work, ms, ...given) => timer(work, {LIMITS}.includes(ms) ? {PATIENCE_MS} : ms, ...given);
}}"""
"""Has the pages wait as long as the tests do: a machine that stalls makes no request a second one."""
TELL_OF_POLICY: Final = """addEventListener("securitypolicyviolation",
  (event) => console.error("policy violated:", event.violatedDirective, event.blockedURI));"""


def executable(driver: Playwright) -> str:
    """The browser to run. Where there is none CI fails, and others skip."""
    named = os.environ.get("FLASHSALE_TEST_CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if Path(driver.chromium.executable_path).exists():
        return driver.chromium.executable_path
    missing = f"none of {', '.join(NAMES)} is on the PATH; FLASHSALE_TEST_CHROMIUM may name a browser"
    if os.environ.get("CI"):
        pytest.fail(f"the pages were not tested: {missing}")
    pytest.skip(missing)


@dataclass
class Sent:
    """One request of a page. `status` is None until it is answered, and stays so if it never is."""

    method: str
    path: str
    key: str | None
    bearer: str | None
    at: float
    """By the clock of the test, in seconds."""
    status: int | None = None


class Tab:
    """One page of a device."""

    def __init__(self, device: "Device", page: Page) -> None:
        self.device = device
        self.page = page
        self.loads = 0
        page.on("domcontentloaded", lambda _: self._count())

    def _count(self) -> None:
        self.loads += 1

    @property
    def main(self) -> Locator:
        return self.page.locator("main")

    async def state(self) -> str:
        """The state that the shop's page is in now."""
        return await self.main.get_attribute("data-state") or ""

    async def until(self, *states: str) -> str:
        """Waits until the shop's page is in one of these states."""
        pattern = re.compile(f"^({'|'.join(states)})$")
        await expect(self.main).to_have_attribute("data-state", pattern, timeout=PATIENCE_MS)
        return await self.state()

    async def view(self, *views: str) -> None:
        """Waits until the console shows one of these views."""
        pattern = re.compile(f"^({'|'.join(views)})$")
        await expect(self.main).to_have_attribute("data-view", pattern, timeout=PATIENCE_MS)

    def action(self, name: str) -> Locator:
        """What is there to be pressed for this action, and can be seen."""
        return self.page.locator(f'[data-action="{name}"]').filter(visible=True).first

    async def press(self, name: str) -> None:
        await self.action(name).click(timeout=PATIENCE_MS)

    async def says(self, text: str | re.Pattern[str]) -> None:
        """Waits until the page shows this text."""
        await expect(self.page.locator("body")).to_contain_text(
            text, timeout=PATIENCE_MS, use_inner_text=True
        )

    async def shows(self, selector: str) -> Locator:
        """Waits until it can be seen."""
        found = self.page.locator(selector).filter(visible=True).first
        await expect(found).to_be_visible(timeout=PATIENCE_MS)
        return found


class Device:
    """A browser with a storage of its own, and everything that its pages did."""

    def __init__(self, context: BrowserContext, *, cookies: bool) -> None:
        self.context = context
        self.sent: list[Sent] = []
        self.faults: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        self._cookies = cookies
        self._known: dict[Request, Sent] = {}
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.faults.append(f"thrown: {error.error}"))
        context.on("request", self._asked)
        context.on("response", self._answered)

    async def open(self, url: str) -> Tab:
        """A new tab at this address."""
        tab = Tab(self, await self.context.new_page())
        await tab.page.goto(url, wait_until="domcontentloaded")
        return tab

    def expects(self, *patterns: str) -> None:
        """What the test provokes: faults that hold one of these regular expressions are none."""
        self._expected += [re.compile(pattern) for pattern in patterns]

    def expects_loss(self) -> None:
        """The test takes the connection away."""
        self.expects(r"Failed to load resource: net::ERR_", r"ERR_INCOMPLETE_CHUNKED_ENCODING")

    def requests(self, method: str, end: str) -> list[Sent]:
        """What was asked with this method at paths that end so."""
        return [each for each in self.sent if each.method == method and each.path.endswith(end)]

    def reserves(self) -> list[Sent]:
        """Every request to reserve."""
        return self.requests("POST", "/reservations")

    @property
    def bearer(self) -> str:
        """The token that the pages used last."""
        return next(each.bearer for each in reversed(self.sent) if each.bearer)

    async def check(self) -> None:
        """Fails if anything went wrong that was not expected."""
        left = [
            fault for fault in self.faults if not any(pattern.search(fault) for pattern in self._expected)
        ]
        assert not left, "pages complained:\n" + "\n".join(left)
        if not self._cookies:
            assert await self.context.cookies() == []

    def _said(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        url = message.location.get("url", "")
        refused = re.search(r"responded with a status of (\d+)", message.text)
        if refused and "/v1/" in url and int(refused[1]) in REFUSALS:
            return
        self.faults.append(f"{message.type}: {message.text} ({url})")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in HERE:
            self.faults.append(f"asked elsewhere: {request.url}")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        key = request.headers.get("idempotency-key")
        sent = Sent(request.method, parts.path, key, bearer, time.monotonic())
        self._known[request] = sent
        self.sent.append(sent)

    def _answered(self, response: Response) -> None:
        if sent := self._known.get(response.request):
            sent.status = response.status
        if response.status >= 500 and response.status != 503:
            self.faults.append(f"{response.status} for {response.url}")


class Chromium:
    """A browser that runs."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator["Chromium"]:
        """A browser for the block, which must run in one event loop."""
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(
                executable_path=executable(driver), args=list(FLAGS), timeout=PATIENCE_MS
            )
            try:
                yield cls(browser)
            finally:
                await browser.close()

    @asynccontextmanager
    async def device(
        self,
        *,
        language: str = "en",
        size: tuple[int, int] = PHONE,
        cookies: bool = False,
        patient: bool = True,
        scripts: Sequence[str] = (),
        **options: Any,
    ) -> AsyncIterator[Device]:
        """A device for the block. `scripts` run on every page before its own; `options` are those of a context.

        Unless it is `patient` its pages give up requests as early as those of shoppers do.
        """
        context = await self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale={"de": "de-DE", "en": "en-GB", "zh": "zh-CN"}[language],
            timezone_id="Europe/Berlin",
            **options,
        )
        device = Device(context, cookies=cookies)
        for script in (TELL_OF_POLICY, *((PATIENT,) if patient else ()), *scripts):
            await context.add_init_script(script)
        try:
            yield device
            await device.check()
        finally:
            # What a page asks in its last moment may still be with a test that intercepts it.
            await context.unroute_all(behavior="ignoreErrors")
            await context.close()


async def settled(tab: Tab, quiet_s: float = 0.3) -> None:
    """Waits until nothing on the page moves or fades, for a picture of it."""
    await tab.page.evaluate("document.fonts.ready.then(() => null)")
    await tab.page.evaluate(
        "Promise.allSettled(document.getAnimations().filter((each) =>"
        " each.effect.getComputedTiming().iterations !== Infinity).map((each) => each.finished)).then(() => null)"
    )
    await asyncio.sleep(quiet_s)
