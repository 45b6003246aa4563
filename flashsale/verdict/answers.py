"""Answers: everybody got one, every one is kept, and nobody has what they were not told of."""

from collections import Counter
from collections.abc import Iterator

from flashsale.verdict.case import Case
from flashsale.verdict.evidence import Hold
from flashsale.verdict.journal import Claim
from flashsale.verdict.words import NAMED_MAX, counted, named


def judge_answers(case: Case) -> list[str]:
    """Every answer that was not given, not kept, or should not have been given."""
    return [
        *_undecided(case),
        *_silences(case),
        *_oddities(case),
        *_contradicted(case),
        *_granted_as_told(case),
        *_ended_as_told(case),
        *_untold(case),
        *_cut_short(case),
    ]


def _undecided(case: Case) -> Iterator[str]:
    told = case.told
    missing = told.pressed - told.decided - told.interrupted
    if missing < 0:
        yield f"{counted(told.decided, 'shopper')} got a final answer, and only {told.pressed:,} have pressed."
    elif missing or told.undecided:
        names = f": {named(sorted(told.undecided))}" if told.undecided else ""
        yield (
            f"{counted(max(missing, len(told.undecided)), 'shopper')} of {told.pressed:,} never got a final answer{names}."
        )


def _silences(case: Case) -> Iterator[str]:
    silences, allowed = case.told.silences, case.levels.silences
    if len(silences) > allowed:
        kinds = Counter(f"{silence.request} ({silence.error})" for silence in silences)
        yield (
            f"{counted(silences, 'request')} got no answer, and {allowed:,} may: {_most(kinds)}; "
            f"of {named(sorted({silence.customer for silence in silences}))}."
        )


def _most(kinds: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {kind}" for kind, count in kinds.most_common(NAMED_MAX))


def _oddities(case: Case) -> Iterator[str]:
    odd = case.told.oddities
    if odd:
        kinds = Counter(f"{oddity.request}: {oddity.said}" for oddity in odd)
        yield (
            f"{counted(odd, 'answer')} that nobody should get: {_most(kinds)}; "
            f"of {named(sorted({oddity.customer for oddity in odd}))}."
        )


def _contradicted(case: Case) -> Iterator[str]:
    """The same reservation is told in the same way each time."""
    wrong = [
        name
        for name, holds in case.granted.items()
        if len(holds) > 1
        and any((hold.place, hold.units) != (holds[0].place, holds[0].units) for hold in holds)
    ]
    if wrong:
        yield f"{counted(wrong, 'reservation')} told with changing places or units: {named(wrong)}."


def _granted_as_told(case: Case) -> Iterator[str]:
    lost, changed = [], []
    for name, holds in case.granted.items():
        claim = case.journal.claims.get(name)
        if claim is None:
            lost.append(f"{name} of {holds[0].customer}")
            continue
        changed += [
            f"{name} (told {_shown(hold)}, kept {_shown(claim)})"
            for hold in holds
            if (hold.customer, hold.units, hold.place) != (claim.customer, claim.units, claim.place)
        ]
    if lost:
        yield f"{counted(lost, 'reservation')} told to shoppers that the journal does not have: {named(lost)}."
    if changed:
        yield f"{counted(changed, 'reservation')} told otherwise than the journal has them: {named(changed)}."


def _shown(one: Hold | Claim) -> str:
    what = " and ".join(f"{count:,} {sku}" for sku, count in one.units.items())
    return f"{one.customer}: {what} at place {one.place:,}"


def _ended_as_told(case: Case) -> Iterator[str]:
    """What a shopper was told last can be what has happened; they may have left before it ended."""
    wrong: dict[str, list[str]] = {}
    sold = {order.reservation for order in case.orders if order.status == "confirmed"}
    for hold in case.holds:
        claim = case.journal.claims.get(hold.reservation)
        who = f"{hold.reservation} of {hold.customer}"
        if claim is not None and not _been(case, hold):
            wrong.setdefault(f"{hold.status}, and by the journal were not", []).append(
                f"{who} (it is {claim.state})"
            )
        if hold.status == "confirmed" and hold.reservation not in sold:
            wrong.setdefault("confirmed, and are not in the order feed", []).append(who)
    for what, who_all in sorted(wrong.items()):
        yield f"{counted(who_all, 'reservation')} told as {what}: {named(who_all)}."


def _been(case: Case, hold: Hold) -> bool:
    claim = case.journal.claims[hold.reservation]
    # A hold is over for its shopper when its time is, even before the journal has noticed.
    overdue = claim.state == "held" and claim.until_ms <= case.evidence.run.ended_ms
    return hold.status in claim.been or (hold.status == "expired" and overdue)


def _untold(case: Case) -> Iterator[str]:
    """Reservations in the journal of customers whom this run knows, or of anybody when the run was alone."""
    ours, started_ms = {hold.customer for hold in case.holds}, case.evidence.run.started_ms
    untold = [
        f"{claim.reservation} of {claim.customer}"
        for claim in case.journal.claims.values()
        if claim.reservation not in case.granted
        and claim.customer not in case.silent
        and (case.alone or (claim.customer in ours and claim.held_ms >= started_ms))
    ]
    if untold:
        yield f"{counted(untold, 'reservation')} in the journal that nobody was told of: {named(untold)}."


def _cut_short(case: Case) -> Iterator[str]:
    cut = sorted(set(case.journal.cut_short))
    if cut:
        yield f"{counted(cut, 'hold')} ended before its time: {named(cut)}."
