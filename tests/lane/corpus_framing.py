"""Conversations about where a request ends: lengths, chunks, and what would hide a second request in the body of a first."""

from collections.abc import Iterator
from typing import Final

from tests.lane.plain import ONE, Request, chunked, get
from tests.lane.wire import Conversation, Do

N: Final = len(ONE)
LENGTHS: Final = (
    b"%d" % N, b"+%d" % N, b"0%d" % N, b"000000000000000000000%d" % N, b"-%d" % N, b" %d" % N, b"%d " % N,
    b"\t%d\t" % N, b"%d, %d" % (N, N), b"%d,%d" % (N, N + 1), b"5 5", b"5, 5", b"0x%x" % N, b"%x" % N, b"%d.0" % N,
    b"%de0" % N, b"1_0", b"", b" ", b"x", b"0", b"00", b"-0", b"-1", b"+0", b"1", b"%d" % (N - 1), b"%d" % (N + 1),
    b"%d" % (N + 1000), b"65536", b"65537", b"4294967295", b"4294967296", b"%d" % 2**31, b"%d" % (2**63 - 1),
    b"%d" % 2**63, b"%d" % (2**64 - 1), b"%d" % 2**64, b"%d" % (2**64 + N), b"9" * 100, b"%d;x" % N,
    b"\xd9\xa4\xd9\xa1", b"\xc2\xb2", b"%d\xff" % N, b"%d\0" % N, b"\x0b%d" % N, b"(%d)" % N, b'"%d"' % N,
)  # fmt: skip
ENCODINGS: Final = (
    b"Transfer-Encoding: chunked", b"transfer-encoding: chunked", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding:chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked;x=y", b"Transfer-Encoding:", b"Transfer-Encoding: ", b"Transfer-Encoding:\tchunked\t",
    b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked\x0c", b"Transfer-Encoding: chunked\0",
    b"Transfer-Encoding: chun\0ked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: x\r\n chunked",
    b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b'Transfer-Encoding: "chunked"',
    b"Transfer_Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"\x00Transfer-Encoding: chunked",
    b"Transfer-Encoding\0: chunked", b"Content-Encoding: chunked", b"TE: chunked", b"Transfer-Encoding: chunked\xff",
    b"Transfer-\xc3\x8bncoding: chunked",
)  # fmt: skip
BAD_CHUNKS: Final = (
    b"zz\r\n", b"0\r\n\r\n", b"0\r\n", b"", b"-1\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n", b"5\r\nhell\r\n0\r\n\r\n", b"5\r\nhelloo\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\n\r\n", b'5;x="a\r\n"\r\nhello\r\n0\r\n\r\n',
    b"FFFFFFFFFFFFFFFF\r\n", b"10000000000000000\r\nx", b"\r\n", b"0\r\nX: y\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n", b"00000000000000000000\r\n\r\n",
)  # fmt: skip


def lengths(sale: str) -> Iterator[Conversation]:
    """One Content-Length."""
    for value in LENGTHS:
        line = b"Content-Length: " + value
        yield Conversation.of(f"length {value!r}", bytes(Request.plain(sale).but(content_length=line)))
        behind = bytes(Request.plain(sale).but(content_length=line)) + bytes(Request.plain(sale))
        yield Conversation.of(f"length {value!r}, another behind", behind)
    for two in (
        (N, N), (N, N + 1), (N + 1, N), (0, N), (N, 0), (N, N - 1),
    ):  # fmt: skip
        request = Request.plain(sale).but(content_length=b"Content-Length: %d\r\nContent-Length: %d" % two)
        yield Conversation.of(f"lengths {two}", bytes(request))
        spread = Request.plain(sale).but(content_length=b"Content-Length: %d" % two[0])
        spread = spread.more(b"X: y", b"content-length: %d" % two[1])
        yield Conversation.of(f"lengths {two} far apart", bytes(spread))
    without = Request.plain(sale).but(content_length=None)
    yield Conversation.of("no length", bytes(without))
    yield Conversation.of("no length, no body", without.head)
    yield Conversation.of("no length, close", bytes(without.more(b"Connection: close")))
    yield Conversation.of("no body", bytes(Request.plain(sale, body=b"")))
    yield Conversation.of("a body for GET", get("/healthz", b"Content-Length: %d" % N) + ONE)
    for size in (65_536, 65_537, 100_000, 1_000_000):
        promised = Request.plain(sale).but(content_length=b"Content-Length: %d" % size)
        yield Conversation.of(f"{size} promised", promised.head)
        yield Conversation.of(f"{size} promised, begun", bytes(promised))


def encodings(sale: str) -> Iterator[Conversation]:
    """Chunks, and what looks like chunks."""
    for line in ENCODINGS:
        bare, with_length = (
            Request.plain(sale).but(content_length=None).more(line),
            Request.plain(sale).more(line),
        )
        for name, head in (("alone", bare.head), ("with a length", with_length.head)):
            yield Conversation.of(f"{line!r} {name}, chunks", head + chunked(ONE))
            yield Conversation.of(f"{line!r} {name}, plain", head + ONE)
        first = Request.plain(sale).first(line)
        yield Conversation.of(f"{line!r} first, chunks", first.head + chunked(ONE))
    chunks = Request.plain(sale).but(content_length=None).more(b"Transfer-Encoding: chunked")
    for rest in BAD_CHUNKS:
        yield Conversation.of(f"chunks {rest!r}", chunks.head + rest)
    sizes: list[tuple[int, ...]] = [(1,) * N, (1,), (N - 1,), (10, 10, 10)]
    for each in sizes:
        yield Conversation.of(f"chunks of {each[:4]}", chunks.head + chunked(ONE, each))
        twice = chunks.head + chunked(ONE, each) + bytes(Request.plain(sale))
        yield Conversation.of(f"chunks of {each[:4]}, another behind", twice)
    large = chunked(ONE + b" " * 70_000, (30_000, 30_000))
    yield Conversation.of("chunks beyond the limit", chunks.head + large)
    old = (
        Request.plain(sale, version=b"HTTP/1.0").but(content_length=None).more(b"Transfer-Encoding: chunked")
    )
    yield Conversation.of("chunks in HTTP/1.0", old.head + chunked(ONE))


def expectations(sale: str) -> Iterator[Conversation]:
    """Expect, answered before the body is sent, or not waited for."""
    for value in (
        b"100-continue",
        b"100-Continue",
        b"100-CONTINUE",
        b"",
        b"a miracle",
        b"100-continue, x",
        b"100",
        b"\xff",
    ):
        request = Request.plain(sale).more(b"Expect: " + value)
        yield Conversation.of(f"expects {value!r}", bytes(request))
        yield Conversation.of(f"expects {value!r}, the body later", request.head, Do.LET_READ, request.body)
        yield Conversation.of(
            f"expects {value!r}, another behind", bytes(request) + bytes(Request.plain(sale))
        )
        old = Request.plain(sale, version=b"HTTP/1.0").more(b"Expect: " + value)
        yield Conversation.of(f"expects {value!r} in HTTP/1.0", bytes(old))
    bad = Request.plain(sale).more(b"Expect: 100-continue").but(authorization=None)
    yield Conversation.of("nobody expects", bad.head, Do.LET_READ, bad.body)
    empty = Request.plain(sale, body=b"").more(b"Expect: 100-continue")
    yield Conversation.of("nothing to send", bytes(empty))
    chunks = (
        Request.plain(sale)
        .but(content_length=None)
        .more(b"Transfer-Encoding: chunked", b"Expect: 100-continue")
    )
    yield Conversation.of("chunks to come", chunks.head, Do.LET_READ, chunked(ONE, (3, 4)))


def smuggling(sale: str) -> Iterator[Conversation]:
    """A second request inside the body of a first, whose length can be read in two ways."""
    hidden = bytes(Request.plain(sale))
    inner = get("/healthz")
    for name, inside in (("a reservation", hidden), ("a GET", inner), ("both", hidden + inner)):
        for line in ENCODINGS:
            for body in (
                b"0\r\n\r\n" + inside,
                chunked(ONE) + inside,
                ONE + inside,
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(inside), inside),
            ):
                request = Request.plain(sale, body=body).more(line)
                short = request.but(content_length=b"Content-Length: %d" % (len(body) - len(inside)))
                for how, each in (
                    ("in all of it", request),
                    ("behind it", short),
                    ("without a length", request.but(content_length=None)),
                ):
                    yield Conversation.of(f"{name} {how}, {line!r}, {body[:5]!r}", bytes(each))
        for value in LENGTHS:
            request = Request.plain(sale).but(content_length=b"Content-Length: " + value)
            yield Conversation.of(f"{name} behind length {value!r}", bytes(request) + inside)
            two = request.more(b"Content-Length: %d" % (N + len(inside)))
            yield Conversation.of(f"{name} between lengths {value!r}", bytes(two) + inside)
            two = Request.plain(sale).more(b"Content-Length: " + value)
            yield Conversation.of(f"{name} between lengths, {value!r} last", bytes(two) + inside)
            folded = Request.plain(sale).more(b"X: y\r\n Content-Length: " + value)
            yield Conversation.of(f"{name} behind a folded length {value!r}", bytes(folded) + inside)
        for ends in (b"\n", b"\r", b"\r\n ", b"\n ", b"\0\r\n"):
            request = Request.plain(sale).more(b"X: y" + ends + b"Content-Length: 0")
            yield Conversation.of(f"{name} behind a length after {ends!r}", bytes(request) + inside)
            split = Request.plain(sale).more(b"X: y" + ends + b"\r\n")
            yield Conversation.of(f"{name} behind a head cut by {ends!r}", bytes(split) + inside)


FRAMING_TABLES: Final = (lengths, encodings, expectations)
