"""Money: every payment that a shopper agreed to pays for one order or is given back, and no order goes without."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from flashsale.model.facts import FactType
from flashsale.verdict.case import Case
from flashsale.verdict.evidence import Fact, Hold
from flashsale.verdict.journal import Charge
from flashsale.verdict.words import counted, named


def judge_money(case: Case) -> list[str]:
    """Every charge without a fate, with two, or of nobody's making; and every order that nobody has paid for."""
    return [*_agreed(case), *_one_fate_each(case), *_orders(case), *_unasked(case)]


def released(case: Case) -> list[Hold]:
    """Who agreed to a payment of which no money was taken, because their hold had ended before."""
    return [hold for hold in _agreeing(case) if _taken_by_nobody(case, hold)]


def on_their_way(facts: Iterable[Fact]) -> list[str]:
    """Charges that are to be given back and were not yet: whoever reads a journal to judge it waits for them."""
    open_: dict[str, int] = {}
    for fact in facts:
        if fact.type in (FactType.CHARGE_REFUSED, FactType.REFUNDED):
            open_[fact.payment] = open_.get(fact.payment, 0) + 1
        elif fact.type == FactType.CHARGE_REFUNDED:
            open_[fact.payment] = open_.get(fact.payment, 0) - 1
    return [payment for payment, count in open_.items() if payment and count > 0]


def _agreeing(case: Case) -> list[Hold]:
    return list({hold.payment: hold for hold in case.holds if hold.payment}.values())


def _taken_by_nobody(case: Case, hold: Hold) -> bool:
    claim = case.journal.claims.get(hold.reservation)
    return (
        not hold.charged
        and hold.payment not in case.journal.charges
        and claim is not None
        and claim.state in ("expired", "cancelled")
    )


def _agreed(case: Case) -> Iterator[str]:
    """What shoppers have agreed to was decided, and for their own reservation."""
    lost, others = [], []
    for hold in _agreeing(case):
        who = f"{hold.payment} of {hold.customer} for {hold.reservation}"
        charge = case.journal.charges.get(hold.payment)
        if charge is None:
            if not _taken_by_nobody(case, hold):
                lost.append(who)
        elif {*charge.orders, *charge.refused} - {hold.reservation}:
            others.append(f"{who} (went to {named([*charge.orders, *charge.refused])})")
    if lost:
        yield (
            f"{counted(lost, 'payment')} that shoppers agreed to, neither an order nor given back: {named(lost)}."
        )
    if others:
        yield f"{counted(others, 'payment')} used for somebody else's reservation: {named(others)}."


def _one_fate_each(case: Case) -> Iterator[str]:
    wrong: dict[str, list[str]] = defaultdict(list)
    for charge in case.journal.charges.values():
        fault = _fault(charge)
        if fault:
            wrong[fault].append(
                f"{charge.payment} ({named([*charge.orders, *charge.refused]) or 'no reservation'})"
            )
    for fault, charges in sorted(wrong.items()):
        yield f"{counted(charges, 'charge')} {fault}: {named(charges)}."


def _fault(charge: Charge) -> str:
    decisions = len(charge.orders) + len(charge.refused)
    to_give_back = len(charge.refused) + charge.undone
    if not decisions:
        return "given back that nobody had decided on"
    if decisions > 1:
        return "decided more than once"
    if charge.undone > len(charge.orders):
        return "given as that of an undone order, which it had not paid for"
    if charge.given_back > 1:
        return "given back more than once"
    if charge.given_back > to_give_back:
        return "given back although the order stands"
    if charge.given_back < to_give_back:
        return "neither paying for an order nor given back"
    return ""


def _orders(case: Case) -> Iterator[str]:
    unpaid = sorted(set(case.journal.unpaid))
    if unpaid:
        yield f"{counted(unpaid, 'order')} made or undone without any charge: {named(unpaid)}."
    payers = Counter(name for charge in case.journal.charges.values() for name in charge.orders)
    twice = [f"{name} ({count:,} charges)" for name, count in payers.items() if count > 1]
    if twice:
        yield f"{counted(twice, 'order')} paid more than once: {named(twice)}."


def _unasked(case: Case) -> Iterator[str]:
    """Charges to which nobody has agreed, in a sale where nobody else could have."""
    if not case.alone:
        return
    agreed = {hold.payment for hold in case.holds}
    unasked = []
    for charge in case.journal.charges.values():
        names = [*charge.orders, *charge.refused]
        customers = {case.journal.claims[name].customer for name in names if name in case.journal.claims}
        if charge.payment not in agreed and not customers & case.unsure:
            unasked.append(f"{charge.payment} ({named(names)})")
    if unasked:
        yield f"{counted(unasked, 'charge')} to which no shopper has agreed: {named(unasked)}."
