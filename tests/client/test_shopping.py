"""What shops and tests call: a guest's way from the shelf to an order and back, typed, and what refusals say."""

from collections.abc import Iterator

import pytest

from flashsale.client import ApiError, Client, OrderFeed, ReservationView
from tests.support.house import House
from tests.support.paying import click
from tests.support_http.client import ROOT_KEY, SECRET, definition, eventually, new_sale_id

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    env = {"FLASHSALE_GUESTS": "1", "FLASHSALE_SHOPPER_SECRET": SECRET}
    with House(tmp_path_factory.mktemp("house"), env=env) as running:
        yield running


async def a_sale(house: House, stock: int = 3) -> str:
    sale = new_sale_id()
    async with Client(house.url, ROOT_KEY) as brand:
        terms = {"payment": {"methods": ["card"], "deposit_percent": 10}, "limit_per_customer": 2}
        await brand.put_sale(sale, definition(stock, **terms))
    return sale


async def a_token(house: House) -> str:
    async with Client(house.url) as anybody:
        return (await anybody.guest())["token"]


async def paid(shopper: Client, held: ReservationView) -> ReservationView:
    started = await shopper.pay(held["id"], "card")
    assert started["payment"] is not None

    async def asked() -> str:
        payment = (await shopper.reservation(held["id"]))["payment"]
        return str(payment["action"].get("url", "")) if payment and payment["action"] else ""

    await click(await eventually(asked, "the shopper is asked to pay"))

    async def confirmed() -> ReservationView | None:
        found = await shopper.reservation(held["id"])
        return found if found["status"] == "confirmed" else None

    order = await eventually(confirmed, "the reservation is an order")
    assert order is not None
    return order


async def test_from_the_shelf_to_an_order_and_back(house: House) -> None:
    sale = await a_sale(house)
    async with Client(house.url, await a_token(house)) as shopper, Client(house.url, ROOT_KEY) as brand:
        held = await shopper.reserve(sale, {"giulia": 1}, idempotency_key="mine")
        assert held["status"] == "held"
        assert await shopper.reserve(sale, {"giulia": 1}, idempotency_key="mine") == held
        order = await paid(shopper, held)
        assert order["amount_due"] * 10 == order["amount"]
        assert await shopper.mine(sale) == [order]
        await brand.refund(held["id"], restock=False)
        feed = aiter(OrderFeed(house.url, ROOT_KEY, sale=sale))
        made, undone = await anext(feed), await anext(feed)
        assert (made.reservation, made.status, made.customer) == (order["id"], "confirmed", order["customer"])
        assert made.payment is not None
        assert order["payment"] is not None
        assert made.payment.reference == order["payment"]["reference"]
        assert (undone.reservation, undone.status) == (order["id"], "refunded")
        assert undone.refund is not None
        assert undone.refund.restocked is False
        summary = await brand.orders_summary(sale)
        assert (summary["orders"], summary["sequence"], summary["currency"]) == (0, 2, "CNY")


async def test_a_hold_can_be_given_back(house: House) -> None:
    sale = await a_sale(house)
    async with Client(house.url, await a_token(house)) as shopper:
        held = await shopper.reserve(sale, {"giulia": 2})
        assert held["items"] == [{"sku": "giulia", "quantity": 2}]
        assert (await shopper.cancel(held["id"]))["status"] == "cancelled"
        assert (await shopper.reservation(held["id"]))["status"] == "cancelled"


async def test_refusals_say_why(house: House) -> None:
    sale = await a_sale(house, stock=1)
    async with Client(house.url, await a_token(house)) as shopper, Client(house.url) as nobody:
        refused = [
            ("limit_reached", shopper.reserve(sale, {"giulia": 3})),
            ("sold_out", shopper.reserve(sale, {"giulia": 2})),
            ("unknown_item", shopper.reserve(sale, {"miura": 1})),
            ("unknown_sale", shopper.reserve("nowhere", {"giulia": 1})),
            ("unknown_reservation", shopper.reservation(f"{sale}.0.{'A' * 16}")),
            ("unauthenticated", nobody.reserve(sale, {"giulia": 1})),
            ("unauthenticated", shopper.orders_summary(sale)),  # a shopper's token is no API key
        ]
        for code, call in refused:
            with pytest.raises(ApiError) as error:
                await call
            assert error.value.code == code


async def test_when_to_come_back_is_told(house: House) -> None:
    sale = new_sale_id()
    async with Client(house.url, ROOT_KEY) as brand:
        await brand.put_sale(sale, definition(1, opens_at="2099-01-01T00:00:00Z"))
    async with Client(house.url, await a_token(house)) as shopper:
        with pytest.raises(ApiError) as error:
            await shopper.reserve(sale, {"giulia": 1})
    assert (error.value.code, error.value.retry_after_seconds) == ("not_open", 3600)
