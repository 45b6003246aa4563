"""Valid requests with something wrong: what Hypothesis does to them."""

from collections.abc import Callable, Sized
from typing import Final

from hypothesis import strategies as st

from tests.lane.plain import Request, get

TRICKY: Final = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b": ", b",", b";", b"\xff", b"\x80", b"\x7f", b"\x0b",
    b"\x0c", b"%", b"%00", b"0", b"1", b"-", b"+", b"{", b"}", b"[", b"]", b'"', b"\\", b"/", b"//", b"?", b"#", b"..",
    b"\r\n ", b"\r\nX: y", b"\r\nContent-Length: 0", b"\r\nContent-Length: 41", b"\r\nTransfer-Encoding: chunked",
    b"\r\nConnection: close", b"\r\nConnection: Upgrade\r\nUpgrade: x", b"\r\nExpect: 100-continue", b"\r\nHost: x",
    b" HTTP/1.1", b"HTTP/1.0", b"POST ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"chunked", b"identity",
    b"Authorization: ", b"Bearer ", b"null", b"NaN", b"1e9", b"\xef\xbb\xbf", b"\xc3\xbc", b"\xed\xa0\x80",
)  # fmt: skip
Mutation = Callable[[bytes], bytes]


def _at(where: float, data: Sized) -> int:
    return int(where * (len(data) + 1)) if data else 0


@st.composite
def mutation(draw: st.DrawFn) -> Mutation:
    """One change, anywhere."""
    where, other = draw(st.floats(0, 0.9999)), draw(st.floats(0, 0.9999))
    size, piece = draw(st.integers(1, 12)), draw(st.sampled_from(TRICKY) | st.binary(min_size=1, max_size=6))

    def delete(data: bytes) -> bytes:
        at = _at(where, data)
        return data[:at] + data[at + size :]

    def insert(data: bytes) -> bytes:
        at = _at(where, data)
        return data[:at] + piece + data[at:]

    def replace(data: bytes) -> bytes:
        at = _at(where, data)
        return data[:at] + piece + data[at + len(piece) :]

    def duplicate(data: bytes) -> bytes:
        at = _at(where, data)
        return data[: at + size] + data[at:]

    def flip_case(data: bytes) -> bytes:
        at = _at(where, data)
        return data[:at] + data[at : at + size].swapcase() + data[at + size :]

    def move_line(data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        lines.insert(_at(other, lines[1:]), lines.pop(_at(where, lines[1:])))
        return b"\r\n".join(lines)

    def duplicate_line(data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        chosen = lines[min(_at(where, data) * len(lines) // (len(data) + 1), len(lines) - 1)]
        return data.replace(chosen, chosen + b"\r\n" + chosen, 1)

    def cut(data: bytes) -> bytes:
        return data[: _at(where, data)]

    return draw(
        st.sampled_from(
            [delete, insert, insert, replace, replace, duplicate, flip_case, move_line, duplicate_line, cut]
        )
    )


@st.composite
def requests(draw: st.DrawFn) -> Callable[[str], bytes]:
    """A request to reserve in a sale, with one to three changes; now and then another one before or behind it."""
    changes = draw(st.lists(mutation(), min_size=1, max_size=3))
    before, behind = draw(st.sampled_from([0, 0, 0, 1])), draw(st.sampled_from([0, 0, 1]))
    with_key, look = draw(st.booleans()), draw(st.booleans())

    def made(sale: str) -> bytes:
        request = Request.plain(sale)
        data = bytes(request.more(b"Idempotency-Key: k-1") if with_key else request)
        for change in changes:
            data = change(data)
        other = get("/healthz") if look else bytes(Request.plain(sale))
        return other * before + data + other * behind

    return made
