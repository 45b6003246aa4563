"""The code of an order: who gets it, when, and that a scanner reads the reservation off the picture, however it is shown."""

import base64
import io

import pytest
import zxingcpp
from PIL import Image

from flashsale.api.codes import svg
from flashsale.client import ApiError, Client
from tests.support.browser import Chromium
from tests.support.stage import PagesHouse, Stage
from tests.support_http.client import ROOT_KEY, Answer, Shop, token

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONGEST = f"{'x' * 63}.99.{'A' * 16}"
"""As long as the id of a reservation can be."""


async def scanned(chromium: Chromium, picture: bytes, *, pixels: int, background: str = "#fff") -> str:
    """What a scanner reads in a picture of this size, as a browser draws it."""
    context = await chromium.browser.new_context(viewport={"width": 800, "height": 800})
    try:
        page = await context.new_page()
        source = base64.b64encode(picture).decode()
        await page.set_content(
            f'<body style="background: {background}"><img width="{pixels}" src="data:image/svg+xml;base64,{source}">'
        )
        await page.locator("img").evaluate("(each) => each.decode()")
        assert await page.locator("img").evaluate("(each) => [each.width, each.height]") == [pixels, pixels]
        found = zxingcpp.read_barcodes(Image.open(io.BytesIO(await page.screenshot())))
    finally:
        await context.close()
    assert len(found) == 1, f"{len(found)} codes"
    assert found[0].format == zxingcpp.BarcodeFormat.QRCode
    return str(found[0].text)


async def code(shop: Shop, reservation: str, bearer: str | None) -> Answer:
    return await shop.ask("GET", f"/v1/reservations/{reservation}/code", bearer=bearer)


async def bought(stage: Stage, customer: str) -> str:
    """A reservation that is paid for."""
    reservation = await stage.hold(customer)
    stage.house.simulator.pay(await stage.ask(reservation, customer, "card"))
    await stage.until(reservation, "confirmed", "paid")
    return reservation


@pytest.mark.parametrize("pixels", [120, 180, 296, 601])
@pytest.mark.parametrize("text", ["giulia-milano.0.q83vEjRWeJASNFZ4", LONGEST], ids=["usual", "longest"])
async def test_it_can_be_scanned_at_any_size(chromium: Chromium, text: str, pixels: int) -> None:
    assert await scanned(chromium, svg(text), pixels=pixels) == text


async def test_it_can_be_scanned_on_a_dark_page(chromium: Chromium) -> None:
    assert await scanned(chromium, svg(LONGEST), pixels=240, background="#000") == LONGEST


async def test_the_code_of_an_order_says_which_it_is(
    house: PagesHouse, stage: Stage, chromium: Chromium
) -> None:
    await stage.open(2)
    first, second = await bought(stage, "ann"), await bought(stage, "bob")
    for reservation, customer in ((first, "ann"), (second, "bob")):
        answer = await code(stage.shop, reservation, token(customer))
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await scanned(chromium, answer.body, pixels=200) == reservation
        assert (await code(stage.shop, reservation, ROOT_KEY)).body == answer.body
    async with Client(house.url, token("ann")) as shopper:
        assert await scanned(chromium, await shopper.code(first), pixels=200) == first
        with pytest.raises(ApiError) as refused:
            await shopper.code(second)
        assert refused.value.code == "forbidden"


async def test_it_is_for_its_customer_and_for_support(stage: Stage) -> None:
    await stage.open(1)
    reservation = await bought(stage, "ann")
    (await code(stage.shop, reservation, token("bob"))).refused(403, "forbidden")
    (await code(stage.shop, reservation, None)).refused(401, "unauthenticated")
    (await code(stage.shop, reservation, "nonsense")).refused(401, "unauthenticated")
    (await code(stage.shop, reservation[:-1], token("ann"))).refused(404, "unknown_reservation")
    (await code(stage.shop, f"{stage.sale}.0.{'A' * 16}", token("ann"))).refused(404, "unknown_reservation")
    (await code(stage.shop, "..", token("ann"))).refused(404, "unknown_reservation")
    (await code(stage.shop, "%FF", token("ann"))).refused(404, "unknown_reservation")


async def test_what_is_not_bought_has_none(stage: Stage) -> None:
    await stage.open(2)
    held = await stage.hold("ann")
    assert "held" in (await code(stage.shop, held, token("ann"))).refused(409, "not_confirmed")["detail"]
    (await stage.shop.cancel(held, "ann")).must(200)
    assert "cancelled" in (await code(stage.shop, held, token("ann"))).refused(409, "not_confirmed")["detail"]
    reservation = await bought(stage, "bob")
    assert (await code(stage.shop, reservation, token("bob"))).status == 200
    await stage.refund(reservation)
    assert (
        "refunded" in (await code(stage.shop, reservation, ROOT_KEY)).refused(409, "not_confirmed")["detail"]
    )
