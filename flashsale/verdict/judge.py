"""The verdict on a run: every promise held against what the three sides say, and every service level measured.

Pure: the same evidence gives the same verdict. No finding is the only green, and what could not be read is a finding.
"""

from collections.abc import Callable
from typing import Final

from flashsale.verdict.agreement import judge_agreement
from flashsale.verdict.answers import judge_answers
from flashsale.verdict.case import Case
from flashsale.verdict.evidence import Evidence, Levels
from flashsale.verdict.feed import judge_feed
from flashsale.verdict.figures import figures_of
from flashsale.verdict.levels import levels_of
from flashsale.verdict.limits import judge_limit
from flashsale.verdict.money import judge_money
from flashsale.verdict.oversold import judge_oversold
from flashsale.verdict.shapes import CHECKS, Check, Verdict
from flashsale.verdict.sound import judge_engine
from flashsale.verdict.undersold import judge_undersold
from flashsale.verdict.warnings import warnings_of

_JUDGES: Final[dict[str, Callable[[Case], list[str]]]] = {
    "oversold": judge_oversold,
    "undersold": judge_undersold,
    "limit": judge_limit,
    "answers": judge_answers,
    "money": judge_money,
    "feed": judge_feed,
    "agreement": judge_agreement,
    "engine": judge_engine,
}


def judge(evidence: Evidence, levels: Levels) -> Verdict:
    """What the run has shown."""
    case = Case(evidence, levels)
    checks = [Check(name, question, _JUDGES[name](case)) for name, question in CHECKS]
    measured = levels_of(case)
    return Verdict(
        ok=all(check.ok for check in checks) and all(level.ok for level in measured),
        checks=checks,
        levels=measured,
        figures=figures_of(case),
        warnings=warnings_of(case),
    )
