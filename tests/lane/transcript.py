"""What a server said in a conversation: its answers, and how it ended; and how two such transcripts are compared."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_RESERVATION: Final = re.compile(rb"([a-z0-9-]{1,63}\.0\.)([A-Za-z0-9_-]{16})")
_INSTANT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_PLACE: Final = re.compile(rb'"place":\d+')


class End(StrEnum):
    """How a conversation ended."""

    CLOSED = "the server closed the connection"
    WAITING = "the server waits for more"


@dataclass(frozen=True)
class Answer:
    """One answer, as it came; names of headers are in lower case, in the order in which they came."""

    start: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for each, value in self.headers if each == name), None)


@dataclass(frozen=True)
class Transcript:
    """All that a server said; `rest` is what came after the last whole answer."""

    answers: tuple[Answer, ...]
    rest: bytes
    end: End

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(answer.status for answer in self.answers)

    @property
    def unreadable(self) -> bool:
        """Whether it ends with the answer to something that is no HTTP, the only one of version 1.0."""
        return bool(self.answers) and self.answers[-1].start.startswith(b"HTTP/1.0 400")


def next_answer(data: bytes, *, bodiless: bool = False) -> tuple[Answer, int] | None:
    """The answer that `data` begins with and how many bytes it has; None while it is not whole.

    `bodiless`: it answers a HEAD, so that its Content-Length is of a body that does not come.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    start, *lines = data[:end].split(b"\r\n")
    if not re.fullmatch(rb"HTTP/\d\.\d \d{3} [^\r\n]*", start):
        return None
    pairs = [line.partition(b":") for line in lines]
    headers = tuple((name.lower(), value.strip(b" \t")) for name, _, value in pairs)
    length = dict(headers).get(b"content-length", b"0")
    size = 0 if bodiless or start.split(b" ")[1] in {b"100", b"204", b"304"} else int(length)
    whole = end + 4 + size
    return (Answer(start, headers, data[end + 4 : whole]), whole) if len(data) >= whole else None


class Names:
    """Names for what each server draws at random, in the order in which it is first seen: equal where the servers agree.

    One server's reservations are remembered from conversation to conversation.
    """

    def __init__(self) -> None:
        self._tokens: dict[bytes, bytes] = {}

    def comparable(self, text: bytes, *, places: bool) -> bytes:
        """The text with reservations numbered and instants blotted out; without `places`, those too."""

        def numbered(found: re.Match[bytes]) -> bytes:
            return found[1] + self._tokens.setdefault(found[2], b"reservation-%d" % (len(self._tokens) + 1))

        text = _INSTANT.sub(b"INSTANT", _RESERVATION.sub(numbered, text))
        return text if places else _PLACE.sub(b'"place":N', text)

    def of(self, answer: Answer, *, places: bool) -> list[str]:
        """An answer, line by line.

        Of Date only its presence counts, and not the order of headers of different names (RFC 9110, 5.3).
        """
        ordered = sorted(answer.headers, key=lambda header: header[0])
        headers = [(name, self.comparable(value, places=places)) for name, value in ordered]
        body = self.comparable(answer.body, places=places)
        # The length was true, or the answer had not been read whole; what is left out of the body is left out of it too.
        told = {b"date": b"NOW", b"content-length": b"%d" % len(body)}
        lines = [answer.start, *(name + b": " + told.get(name, value) for name, value in headers), body]
        return [line.decode("latin-1") for line in lines]


def differences(
    ours: Transcript, reference: Transcript, names: Mapping[str, Names], *, places: bool = True
) -> list[str]:
    """Where two transcripts differ, in words; empty where they do not. `names` are of "ours" and "reference"."""
    found = []
    for number in range(max(len(ours.answers), len(reference.answers))):
        mine = _lines(ours, number, names["ours"], places=places)
        theirs = _lines(reference, number, names["reference"], places=places)
        found += [f"answer {number + 1}: {each}" for each in _changed(mine, theirs)]
    if ours.rest != reference.rest:
        found.append(f"after the answers: {ours.rest[:200]!r}, not {reference.rest[:200]!r}")
    if ours.end != reference.end:
        found.append(f"at the end: {ours.end}, not: {reference.end}")
    return found


def _lines(transcript: Transcript, number: int, names: Names, *, places: bool) -> list[str]:
    answers = transcript.answers
    return names.of(answers[number], places=places) if number < len(answers) else []


def _changed(mine: list[str], theirs: list[str]) -> Iterable[str]:
    if mine == theirs:
        return []
    if not mine or not theirs:
        return [f"{'missing' if theirs else 'one too many'}: {' | '.join(mine or theirs)[:400]}"]
    less = [f"without {line[:300]!r}" for line in theirs if line not in mine]
    more = [f"with {line[:300]!r}" for line in mine if line not in theirs]
    return [*less, *more] or [f"in another order: {mine} not {theirs}"]
