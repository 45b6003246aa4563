"""examples/token_endpoint.py: whoever has logged in there gets tokens that the server takes, and nobody else does."""

import secrets
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from flashsale.identity.tokens import ShopperTokens, TokenError
from flashsale.process.ports import ReservedPort
from tests.examples.conftest import EXAMPLES, Run
from tests.support_http.client import eventually

SHOP = "http://127.0.0.1:9999"
SECRET = secrets.token_urlsafe(32)


class Login:
    """The example, running, and one visitor's browser."""

    def __init__(self, url: str, browser: aiohttp.ClientSession) -> None:
        self.url, self.browser = url, browser

    async def log_in(self, name: str, back: str = f"{SHOP}/s/giulia") -> tuple[int, str]:
        path = f"{self.url}/login?{urllib.parse.urlencode({'return_to': back})}"
        async with self.browser.post(path, data={"name": name}, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def token(self) -> tuple[int, str]:
        async with self.browser.get(f"{self.url}/token", headers={"Origin": SHOP}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == SHOP
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, (await answer.json()).get("token", "")


@pytest.fixture
def port() -> Iterator[int]:
    with ReservedPort() as reserved:
        yield reserved.port


@pytest.fixture
async def login(run: Run, port: int, tmp_path: Path) -> AsyncIterator[Login]:
    env = {"FLASHSALE_SHOPPER_SECRET": SECRET, "SHOP_ORIGIN": SHOP}
    example = run([sys.executable, str(EXAMPLES / "token_endpoint.py"), str(port)], **env)
    jar = aiohttp.CookieJar(unsafe=True)  # also for an address that is a number
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        login = Login(f"http://127.0.0.1:{port}", browser)

        async def there() -> bool:
            assert example.ended() is None, example.err()
            try:
                return (await login.token())[0] == 401
            except aiohttp.ClientError:
                return False

        await eventually(there, "the example answers")
        yield login


async def test_whoever_logs_in_gets_a_token(login: Login) -> None:
    assert await login.token() == (401, "")
    assert await login.log_in("Grüße & <b>") == (303, f"{SHOP}/s/giulia")
    status, token = await login.token()
    assert status == 200
    assert ShopperTokens(SECRET, None).verify(token) == "Grüße & <b>"
    (session,) = list(login.browser.cookie_jar)
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    with pytest.raises(TokenError):
        ShopperTokens(SECRET, None).verify(session.value)


@pytest.mark.parametrize(
    "back",
    [
        "https://elsewhere.example/s/giulia",
        "//elsewhere.example",
        "",
        "javascript:alert(1)",
        f"{SHOP}.elsewhere.example",
    ],
)
async def test_it_leads_back_to_the_shop_only(login: Login, back: str) -> None:
    assert await login.log_in("ann", back) == (303, SHOP)


@pytest.mark.parametrize("name", ["", "   ", "x" * 257])
async def test_nobody_is_no_customer(login: Login, name: str) -> None:
    assert (await login.log_in(name))[0] == 400
    assert await login.token() == (401, "")
