"""What only an extra brings, and what is said when it is not installed."""

from importlib.util import find_spec
from typing import Final

NEEDED: Final = ("matplotlib", "jinja2")
"""What pages and their pictures take."""


class MissingExtraError(Exception):
    """A package of an extra is not installed; the message says how to get it."""

    def __init__(self, thing: str, package: str, extra: str) -> None:
        super().__init__(f"no {thing} without {package}: pip install 'flashsale[{extra}]'")


def ensure_installed() -> None:
    """Finds out before a run whether a report can be written after it.

    Raises:
        MissingExtraError: it cannot.
    """
    for package in NEEDED:
        if find_spec(package) is None:
            raise MissingExtraError("report", package, "load")
