"""The JSON of a hold that was granted just now is cut out of a pattern: it must be what the whole rendering gives."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from flashsale.api import render
from flashsale.engine.catalog import Offer
from flashsale.model.sale import SaleDefinition
from flashsale.scripts.reserve import Claim, Held

NASTY = ('"place":', '{"id":"s.0.', '"customer":"c"', "%", "%b", '"held_until":"', "\\", "é", "\u2028")
texts = st.lists(st.sampled_from(NASTY) | st.text(max_size=8), min_size=1, max_size=4).map("".join)
names = texts.filter(lambda text: 0 < len(text) <= 64 and text.isprintable() and text == text.strip())
moments = st.integers(0, 4_000_000_000_000)


def offer_of(skus: list[str], currency: str, percent: int) -> Offer:
    definition = SaleDefinition.model_validate(
        {
            "title": "t",
            "opens_at": "2026-11-22T10:00:00Z",
            "currency": currency,
            "hold_seconds": 300,
            "items": [{"sku": sku, "price": 990 + at, "stock": 5} for at, sku in enumerate(skus)],
            "payment": {
                "methods": ["card"],
                "deposit_percent": percent,
                "instalments": 3 if percent < 100 else 0,
            },
        }
    )
    return Offer("s", 1, definition, {item.sku: item.price for item in definition.items})


@settings(max_examples=300)
@given(
    skus=st.lists(names, min_size=1, max_size=3, unique=True),
    customers=st.lists(
        texts.filter(lambda text: len(text.encode(errors="replace")) <= 256), min_size=1, max_size=4
    ),
    numbers=st.lists(st.integers(1, 2**40), min_size=4, max_size=4),
    now_ms=moments,
    hold_ms=st.integers(1, 10**9),
    percent=st.integers(1, 100),
)
def test_a_new_hold_looks_like_any_reservation(
    skus: list[str], customers: list[str], numbers: list[int], now_ms: int, hold_ms: int, percent: int
) -> None:
    offer = offer_of(skus, "EUR", percent)
    lines = tuple((sku, at + 1) for at, sku in enumerate(skus))
    for customer, number in zip(customers, numbers, strict=False):
        try:
            customer.encode()
        except UnicodeEncodeError:
            continue  # no token has such a customer
        claim = Claim(f"{number:016d}"[-16:], customer, lines, False)
        held = Held(claim, number, now_ms + hold_ms, now_ms)
        assert render.held(offer, held) == orjson.dumps(render.reservation(offer, held.reservation, now_ms))


def test_patterns_are_bounded() -> None:
    offer = offer_of(["a"], "EUR", 100)
    for units in range(1, 1000):
        claim = Claim("t" * 16, "c", (("a", units),), False)
        render.held(offer, Held(claim, 1, 2000, 1000))
        assert len(offer.patterns) <= 256
