"""The shopper's page, as a browser sees it: clicked, clicked twice, and with a name in it that would like to be a script."""

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from html import unescape
from typing import NamedTuple

import pytest

from flashsale.simulator.page import money
from tests.support.simulator import Simulator, run_simulator

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator() as running:
        yield running


class Seen(NamedTuple):
    """What a browser has after the redirects."""

    status: int
    url: str
    headers: Message
    text: str


def browse(url: str, form: dict[str, str] | None = None) -> Seen:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data)) as answer:
            return Seen(answer.status, answer.url, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Seen(error.code, url, error.headers, error.read().decode())


def click(seen: Seen, outcome: str) -> Seen:
    """Presses the button of this outcome on the page that is seen."""
    action = re.search(r'<form method="post" action="([^"]+)"', seen.text)
    key = re.search(r'name="k" value="([^"]+)"', seen.text)
    assert action, seen.text
    assert key, seen.text
    assert f'name="outcome" value="{outcome}"' in seen.text
    back = re.search(r'name="return" value="([^"]+)"', seen.text)
    form = {"k": key[1], "outcome": outcome, **({"return": unescape(back[1])} if back else {})}
    return browse(urllib.parse.urljoin(seen.url, action[1]), form)


def opened(simulator: Simulator, key: str, **changes: object) -> str:
    body = {"amount": 3_300_000, "currency": "CNY", "method": "bank_transfer", "description": "Giulia Milano"}
    return str(simulator.call("POST", "/v1/payments", {**body, **changes}, key)["url"])


def test_a_shopper_pays(simulator: Simulator) -> None:
    url = opened(simulator, "pays")
    seen = browse(url)
    assert seen.status == 200
    assert "33,000.00 CNY" in seen.text
    assert "Giulia Milano" in seen.text
    assert "Nobody is charged" in seen.text
    assert 'name="viewport"' in seen.text
    done = click(seen, "succeed")
    assert (done.status, done.url) == (200, url)
    assert "You have paid" in done.text
    assert "<form" not in done.text
    again = click(seen, "succeed")
    assert again.status == 409
    assert "nothing more was taken" in again.text


def test_a_shopper_is_declined_and_tries_again(simulator: Simulator) -> None:
    seen = browse(opened(simulator, "declined"))
    declined = click(seen, "decline")
    assert "was declined" in declined.text
    assert "You have paid" in click(declined, "succeed").text


def test_a_shopper_is_refused(simulator: Simulator) -> None:
    seen = click(browse(opened(simulator, "refused")), "refuse")
    assert "was refused" in seen.text
    assert "<form" not in seen.text


def test_a_cancelled_payment_cannot_be_paid(simulator: Simulator) -> None:
    url = opened(simulator, "cancelled")
    before = browse(url)
    simulator.call("POST", f"/v1/payments/{urllib.parse.urlsplit(url).path.split('/')[-1]}/cancel")
    assert "was cancelled" in browse(url).text
    late = click(before, "succeed")
    assert late.status == 409
    assert simulator.pay(url)[0] == 409


def test_money_given_back_is_shown(simulator: Simulator) -> None:
    url = opened(simulator, "given back")
    payment = urllib.parse.urlsplit(url).path.split("/")[-1]
    simulator.pay(url)
    simulator.call("POST", "/v1/refunds", {"payment": payment, "amount": 100_000}, "given back")
    assert "1,000.00 CNY was given back" in browse(url).text


def test_only_the_shopper_of_the_payment_sees_it(simulator: Simulator) -> None:
    url = opened(simulator, "own")
    other = opened(simulator, "other")
    stolen = url.split("?")[0] + "?" + other.split("?")[1]
    for wrong in (stolen, url.split("?")[0], url[:-1], url.replace("pay_", "pay_0")):
        assert browse(wrong).status == 404
    assert browse(url.split("?")[0], {"k": "guess", "outcome": "succeed"}).status == 404
    assert simulator.pay(stolen)[0] == 404
    assert browse(url.split("?")[0], {"outcome": "succeed"}).status == 400
    assert browse(url.split("?")[0], {"k": url.split("k=")[1], "outcome": "steal"}).status == 400


def test_what_a_shop_writes_is_text_and_nothing_else_is_let_in(simulator: Simulator) -> None:
    seen = browse(opened(simulator, "script", description=SCRIPT, method=SCRIPT, metadata={"shop": SCRIPT}))
    assert SCRIPT not in seen.text
    assert seen.text.count("&lt;script&gt;") == 3
    policy = seen.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert seen.headers["Referrer-Policy"] == "no-referrer"
    assert seen.headers["Cache-Control"] == "no-store"


def test_another_amount_is_sent(simulator: Simulator) -> None:
    url = opened(simulator, "too little")
    assert simulator.pay(url, amount=1, currency="USD")[0] == 200
    payment = simulator.call("GET", urllib.parse.urlsplit(url).path.replace("/pay/", "/v1/payments/"))
    assert (payment["amount"], payment["currency"], payment["status"]) == (1, "USD", "paid")


def test_money_has_the_decimals_of_its_currency() -> None:
    assert money(123456, "EUR") == "1,234.56 EUR"
    assert money(123456, "JPY") == "123,456 JPY"
    assert money(123456, "KWD") == "123.456 KWD"


def links(seen: Seen) -> list[str]:
    """Where the page leads to."""
    return [unescape(found) for found in re.findall(r'<a[^>]* href="([^"]*)"', seen.text)]


@pytest.mark.parametrize(
    "shop", ["https://shop.example.com/s/giulia", "http://127.0.0.1:8080/s/x?a=%22&b='<>#c"]
)
def test_it_leads_back_to_the_shop_whatever_becomes_of_the_payment(simulator: Simulator, shop: str) -> None:
    url = f"{opened(simulator, f'leads back to {shop}')}&return={urllib.parse.quote(shop, safe='')}"
    seen = browse(url)
    declined = click(seen, "decline")
    paid = click(declined, "succeed")
    again = click(seen, "succeed")
    assert [each.status for each in (seen, declined, paid, again)] == [200, 200, 200, 409]
    for each in (seen, declined, paid, again):
        assert links(each) == [shop]
        assert "Back to the shop" in each.text
        assert f'href="{shop}"' not in each.text or "<" not in shop
    assert paid.url == url


@pytest.mark.parametrize(
    "shop",
    [
        "javascript:alert(1)", "data:text/html,x", "//shop.example.com", "/s/x", "shop", "", "http://", "http://[", "https:",
        "http://user@shop.example.com/", "http://shop.example.com:port/", "http://shop.example.com/ x", "http://shop\x00",
        " http://shop.example.com", "https://shop.example.com/\n", f"https://shop.example.com/{'x' * 2000}", "https://ü.example",
    ],
    ids=repr,
)  # fmt: skip
def test_it_leads_nowhere_else(simulator: Simulator, shop: str) -> None:
    url = f"{opened(simulator, 'leads nowhere')}&return={urllib.parse.quote(shop, safe='')}"
    seen = browse(url)
    assert seen.status == 200
    assert links(seen) == []
    assert 'name="return"' not in seen.text
    key = url.split("k=")[1].split("&", maxsplit=1)[0]
    done = browse(url.split("?", maxsplit=1)[0], {"k": key, "outcome": "decline", "return": shop})
    assert links(done) == []
