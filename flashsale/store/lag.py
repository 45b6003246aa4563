"""Timers that do not take a busy process for a silent store.

When ten thousand requests arrive at once, a turn of the event loop takes seconds. What the store has answered meanwhile is
read only after the timers that came due. So whoever waited gets as much time again as the timer was late, `MOST_TIMES` over:
an answer needs some turns, to read the request, to ask, to read the reply.
"""

import asyncio
from typing import Final

LAG_S: Final = 0.05
"""Timers are late by a millisecond or so; by more than this, only when the process was busy."""
MOST_TIMES: Final = 3


def more_time(loop: asyncio.AbstractEventLoop, due: float, most_s: float) -> float:
    """Seconds that those who waited for a timer due at `due` (of the loop's clock) get in addition; 0 if it was on time."""
    lag = loop.time() - due
    return min(lag, most_s) if lag > LAG_S else 0.0
