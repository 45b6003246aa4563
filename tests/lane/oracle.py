"""aiohttp's own parser, asked without a server: where requests end, and what is in them."""

import asyncio
import bisect
from collections.abc import Sequence
from typing import Any, Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage

from flashsale.process.http_worker import MAX_LINE_BYTES

_LOOP: Final = asyncio.new_event_loop()  # the parser wants one for timers that are never set


def read(data: bytes) -> Sequence[tuple[RawRequestMessage, Any]]:
    """The requests that aiohttp reads in `data`, each with its body as a stream.

    Raises:
        HttpProcessingError: it cannot read them.
    """
    parser = HttpRequestParser(
        BaseProtocol(_LOOP),
        _LOOP,
        2**30,  # more than any body here: nothing is left for later
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        auto_decompress=False,
    )
    messages, _, _ = parser.feed_data(data)
    return messages


def ends_of_requests(data: bytes) -> list[int]:
    """How many bytes have been sent by the end of each whole request, up to the first that cannot be read."""
    ends: list[int] = []
    begun = 0
    while begun < len(data):
        rest = data[begun:]

        def is_whole(size: int, rest: bytes = rest) -> bool:
            try:
                messages = read(rest[:size])
            except HttpProcessingError:
                return True
            return bool(messages) and messages[0][1].is_eof()

        if not is_whole(len(rest)):
            break
        size = bisect.bisect_left(range(len(rest)), x=True, key=is_whole)
        try:
            message = read(rest[:size])[0][0]
        except HttpProcessingError:
            break
        if message.upgrade:  # what follows it in the same bytes is another protocol, or lost
            break
        begun += size
        ends.append(begun)
    return ends
