"""Limit: nobody has more units at one time than the sale allows, by what they were told, the journal and the feed."""

from collections.abc import Iterable, Iterator

from flashsale.verdict.case import Case
from flashsale.verdict.quota import Quota
from flashsale.verdict.words import counted, named


def judge_limit(case: Case) -> list[str]:
    """Every customer over a limit."""
    return [
        *_said(_told(case), "were told of more at one time than the limit allows"),
        *_said(
            case.journal.quota.broken.values(), "had more at one time by the journal than the limit allows"
        ),
        *_said(_feed(case), "were sold more by the order feed than the limit allows"),
    ]


def _said(broken: Iterable[str], what: str) -> Iterator[str]:
    who = list(broken)
    if who:
        yield f"{counted(who, 'customer')} {what}: {named(who)}."


def _told(case: Case) -> Iterable[str]:
    """Holds and orders that stood at the same time for certain."""
    quota = Quota(case.terms)
    changes: list[tuple[float, int, int]] = []
    for index, standing in enumerate(case.standings):
        changes.append((standing.begin_ms, 1, index))
        if standing.end_ms is not None:
            changes.append((standing.end_ms, 0, index))
    for _, begins, index in sorted(changes):
        hold = case.standings[index].hold
        (quota.take if begins else quota.give_back)(hold.customer, hold.units)
    return quota.broken.values()


def _feed(case: Case) -> Iterable[str]:
    quota = Quota(case.terms)
    for order in case.orders:
        (quota.give_back if order.status == "refunded" else quota.take)(order.customer, order.units)
    return quota.broken.values()
