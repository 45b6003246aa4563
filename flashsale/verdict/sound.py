"""Engine: its own audit, a journal that can be true, and enough of everything to judge by."""

from collections.abc import Iterator

from flashsale.model.facts import FactType
from flashsale.verdict.case import Case
from flashsale.verdict.words import counted, named


def judge_engine(case: Case) -> list[str]:
    """What the engine's own audit says, what could not be read, and what is missing to judge by."""
    return [*_audit(case), *_trouble(case), *_something_to_judge(case), *_journal(case)]


def _audit(case: Case) -> Iterator[str]:
    engine = case.evidence.engine
    for finding in engine.audit_findings:
        yield f"The engine's audit: {finding.removesuffix('.')}."
    if not engine.audit_ok and not engine.audit_findings:
        yield "The engine's audit failed without saying why."


def _trouble(case: Case) -> Iterator[str]:
    for trouble in case.evidence.engine.trouble:
        yield f"The engine's books could not be read: {trouble.removesuffix('.')}."
    for trouble in case.evidence.feed.trouble:
        yield f"The order feed could not be read: {trouble.removesuffix('.')}."


def _something_to_judge(case: Case) -> Iterator[str]:
    told, engine = case.told, case.evidence.engine
    if not told.pressed:
        yield "No shopper has pressed: there is nothing to judge."
    elif not case.holds and not told.sold_out:
        yield f"{counted(told.pressed, 'shopper')} pressed, and nobody got anything or heard that it is sold out."
    if not case.stock:
        yield "The sale has no items: there is nothing to judge."
    if not engine.facts:
        yield "The engine's journal has no facts: there is nothing to judge by."
    elif case.journal.opened_ms is None:
        yield "The sale never opened."
    if not engine.items:
        yield "The engine counts no items."
    answers = sum(case.told.timeline.answers.get("sold_out", {}).values())
    if answers != len(told.sold_out):
        yield (
            f"Shoppers got {counted(answers, 'answer')} of sold out, and {len(told.sold_out):,} of them "
            "were kept to be judged."
        )


def _journal(case: Case) -> Iterator[str]:
    """Facts numbered from 1 without a gap, places likewise, and each fact possible after those before it."""
    facts = case.evidence.engine.facts
    numbers = [fact.seq for fact in facts]
    if numbers and numbers != list(range(1, len(numbers) + 1)):
        missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
        yield (
            f"The journal has {counted(numbers, 'fact')} up to number {max(numbers):,}; missing: "
            f"{named(missing) or 'none, but some come twice or out of order'}."
        )
    places = [fact.place for fact in facts if fact.type == FactType.HELD]
    wrong = [f"{place:,} instead of {number:,}" for number, place in enumerate(places, 1) if place != number]
    if wrong:
        yield f"{counted(wrong, 'place')} of the journal out of order: {named(wrong)}."
    known = set(FactType)
    unknown = sorted({fact.type for fact in facts} - known)
    if unknown:
        yield f"The journal has facts of types that nobody knows: {named(unknown)}."
    impossible = case.journal.impossible
    if impossible:
        yield f"{counted(impossible, 'fact')} of the journal cannot have been: {named(impossible)}."
