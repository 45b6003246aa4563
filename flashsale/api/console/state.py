"""What the handlers of the console are given."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from flashsale.engine.activity import Activities
from flashsale.engine.curve import Curves
from flashsale.engine.story import Stories


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker knows for those who watch over sales."""

    activities: Activities
    curves: Curves
    stories: Stories


DESK: Final = web.AppKey("desk", Desk)
