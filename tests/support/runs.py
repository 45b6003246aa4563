"""Ways to run the state machine on a server: by Hypothesis, or as a walk from one seed."""

import asyncio
from collections.abc import Callable

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.machine import Chance
from tests.support.machine_money import PayingMachine


def run(url: str, how: settings) -> None:
    """Runs the machine on this server; fails as the first difference does."""
    loop = asyncio.new_event_loop()
    try:
        bound = type("BoundMachine", (PayingMachine,), {"loop": loop, "url": url})
        run_state_machine_as_test(bound, settings=how)
    finally:
        loop.close()


def walk(url: str, seed: int, steps: int) -> None:
    """The same machine without Hypothesis: so many steps, all from one seed. Quick to find what is badly broken."""
    loop = asyncio.new_event_loop()
    try:
        bound = type("BoundMachine", (PayingMachine,), {"loop": loop, "url": url})
        _walk(bound(), Chance(seed), steps)
    finally:
        loop.close()


def _walk(walker: PayingMachine, chance: Chance, steps: int) -> None:
    try:
        walker.first_definition(chance)
        for step in range(steps):
            walker.reserve_one(chance)
            chance.choice(verbs(walker))(chance)
            walker.pay(chance)
            chance.choice(money_verbs(walker))(chance)
            walker.expire(2)
            walker.everything_stored_is_as_the_oracle_says()
            if step % 10 == 9:
                walker.close_sale() if chance.random() < 0.2 else walker.define_again(chance)
                walker.steer("resume")
    finally:
        walker.teardown()


def verbs(walker: PayingMachine) -> list[Callable[[Chance], None]]:
    """What can be done with reservations now."""
    always = [walker.reserve_one, walker.reserve_many, walker.cancel, walker.extend, walker.restock]
    again = [walker.reserve_again] if walker.keyed else []
    return [*always, *again, walker.time_passes, walker.time_passes]


def money_verbs(walker: PayingMachine) -> list[Callable[[Chance], None]]:
    """What can be done with money now; the provider has much to tell."""
    checkouts = [walker.checkout] * 2 if walker.oracle.holds() else []
    takes = [walker.provider_takes] * 2 if walker.oracle.terms else []
    found = [*checkouts, *takes, walker.refund, walker.dispatch]
    if walker.oracle.payments:
        found.append(walker.provider_answers)
    if walker.taken:
        found += [walker.provider_tells, walker.provider_tells, walker.provider_tells, walker.settle]
    if walker.oracle.jobs:
        found.append(walker.defer)
    if walker.oracle.dead:
        found.append(walker.revive)
    return found
