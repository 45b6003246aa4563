"""Who is in the crowd: customers, what each wants, how each presses and pays, and the bytes each sends."""

from __future__ import annotations

import random
from dataclasses import dataclass

import orjson

from flashsale.demo.habits import Habit, draw_habit
from flashsale.demo.messages import Plan
from flashsale.identity.tokens import ShopperTokens

EARLY_MS_MAX = 250
"""An early shopper presses up to this long before T0, is told `not_open`, and presses again at T0."""

DOUBLE_MS_MAX = 150
"""A double click follows the first press within this time, with the same Idempotency-Key."""

TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Member:
    """One shopper, with one token and one Idempotency-Key: every press is the same request."""

    customer: str
    sku: str
    request: bytes
    token: str
    early_ms: float
    double_ms: float
    habit: Habit


def gather(plan: Plan, tokens: ShopperTokens) -> list[Member]:
    """The crowd of a plan, in the order in which it presses; one plan always gives one crowd."""
    chance = random.Random(plan.seed)
    skus = list(plan.stock)
    weights = [max(1, units) for units in plan.stock.values()]
    numbers = list(range(1, plan.shoppers + 1))
    chance.shuffle(numbers)
    # Habits have draws of their own: who presses how does not depend on who will pay.
    manners = random.Random(plan.seed + 2)
    return [
        _member(plan, tokens, chance, number, chance.choices(skus, weights)[0], draw_habit(plan, manners))
        for number in numbers
    ]


def _member(
    plan: Plan, tokens: ShopperTokens, chance: random.Random, number: int, sku: str, habit: Habit
) -> Member:
    customer = f"shopper-{number:06d}"
    token = tokens.issue(customer, TOKEN_SECONDS)
    body = orjson.dumps({"items": [{"sku": sku, "quantity": 1}]})
    head = (
        f"POST /v1/sales/{plan.sale}/reservations HTTP/1.1\r\n"
        f"Host: {plan.host}:{plan.port}\r\n"
        f"Authorization: Bearer {token}\r\n"
        f"Idempotency-Key: press-{chance.getrandbits(64):016x}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    early = chance.random() < plan.early_share
    double = chance.random() < plan.double_share
    return Member(
        customer=customer,
        sku=sku,
        request=head.encode() + body,
        token=token,
        early_ms=chance.uniform(5, EARLY_MS_MAX) if early else 0.0,
        double_ms=chance.uniform(5, DOUBLE_MS_MAX) if double else 0.0,
        habit=habit,
    )
