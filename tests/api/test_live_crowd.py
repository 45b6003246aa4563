"""Many who watch one sale: nobody waits for those who read slowly, and all of them take a bounded share of the loop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flashsale.api import broadcast, live
from flashsale.api.broadcast import LOOK_EVERY, SHARE, SLICE_S, Channel, Message, Pace, Reader
from tests.support_http.client import Shop, definition, new_sale_id
from tests.support_http.watching import watching


@contextmanager
def little_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Whoever does not read is full after a few kilobytes, and frames are large and frequent."""
    with monkeypatch.context() as patch:
        patch.setattr(broadcast, "KERNEL_BYTES", 2048)
        patch.setattr(live, "INTERVAL_S", 0.005)
        yield patch


async def test_a_slow_reader_skips_frames_and_sees_the_last(
    url: str, near: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = new_sale_id()
    far_behind = asyncio.Event()
    whole = Channel._pass_over

    def noted(channel: Channel, reader: Reader) -> None:
        # What is in between it will never be sent.
        if channel.number - reader.seen > 2:
            far_behind.set()
        whole(channel, reader)

    with little_room(monkeypatch) as patch:
        patch.setattr(Channel, "_pass_over", noted)
        await near.define(sale, **definition(1000, title="x" * 200, limit_per_customer=None))
        async with watching(url, sale, room=2048) as slow, watching(url, sale) as quick:
            (await slow.next(), await quick.next())
            sold = 0
            while not far_behind.is_set():
                sold += 1
                (await near.reserve(sale, "c-1")).must(201)
                await quick.until(1000 - sold)  # nobody waits for the slow one
            for _ in range(5):
                sold += 1
                (await near.reserve(sale, "c-1")).must(201)
                await quick.until(1000 - sold)
            seen: list[int] = []
            while not seen or seen[-1] != 1000 - sold:
                left = (await slow.next()).left
                seen += [left] if left is not None else []
    assert seen == sorted(seen, reverse=True)
    assert len(seen) < sold, "it has skipped some"


async def test_who_never_reads_is_cut_off(url: str, near: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sale = new_sale_id()
    cut = asyncio.Event()
    whole = Reader.cut

    def noted(reader: Reader) -> None:
        cut.set()
        whole(reader)

    with little_room(monkeypatch) as patch:
        patch.setattr(Reader, "cut", noted)
        patch.setattr(broadcast, "STUCK_S", 0.1)
        await near.define(sale, **definition(1000, title="x" * 200, limit_per_customer=None))
        async with watching(url, sale, room=2048) as slow:
            await slow.next()
            while not cut.is_set():
                (await near.reserve(sale, "c-1")).must(201)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await slow.until(-1)


async def test_many_watch(url: str, near: Shop) -> None:
    """Each of three hundred is told, though some of them leave."""
    watched = new_sale_id()
    (await near.define(watched, **definition(10, limit_per_customer=None))).must(201)

    async def watch(number: int) -> int | None:
        async with watching(url, watched) as stream:
            await stream.next()
            arrived.release()
            if number % 3 == 0:
                return 0
            return (await stream.until(0)).left

    arrived = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(watch(number)) for number in range(300)]
    for _ in tasks:
        await arrived.acquire()
    for number in range(10):
        (await near.reserve(watched, f"c-{number}")).must(201)
    assert await asyncio.gather(*tasks) == [0] * 300


class Wire(asyncio.Transport):
    """A connection that takes whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []
        self.full = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.taken.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return int(self.full)

    def is_closing(self) -> bool:
        return False


class Clock:
    """Processor time of which every message takes some."""

    def __init__(self, each_s: float) -> None:
        self.each_s = each_s
        self.wires: list[Wire] = []

    def __call__(self) -> float:
        return self.each_s * sum(len(wire.taken) for wire in self.wires)


def crowd(pace: Pace, clock: Clock, count: int, *, name: bytes = b"a") -> Channel:
    """A channel with so many readers, who have its first message."""
    channel = Channel(pace, Message.of(name + b"0"), Message.of(b"nothing new"))
    for _ in range(count):
        wire = Wire()
        clock.wires.append(wire)
        channel.join(Reader(wire, chunked=False), 0)
    return channel


async def test_a_slice_is_short_and_the_rest_after_it_long(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, clock = asyncio.get_running_loop(), Clock(0.000_1)
    pace = Pace(clock)
    channel = crowd(pace, clock, 100)
    calls: list[float] = []
    monkeypatch.setattr(loop, "call_at", lambda when, call: calls.append(when))
    channel.publish(Message.of(b"a1"))
    done = 0
    while channel.due:
        before = loop.time()
        pace._slice()
        sent = sum(len(wire.taken) for wire in clock.wires) - done
        done += sent
        spent = sent * clock.each_s
        assert spent <= SLICE_S + LOOK_EVERY * clock.each_s
        assert pace._rest_until - before >= spent * (1 / SHARE - 1)
    assert done == 100, "each was sent it once"
    assert len(calls) == -(-100 // 16), "the last slice is followed by nothing"


async def test_channels_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.000_01)
    pace = Pace(clock)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", lambda when, call: None)
    large, small = crowd(pace, clock, 1000), crowd(pace, clock, 3, name=b"b")
    large.publish(Message.of(b"a1"))
    small.publish(Message.of(b"b1"))
    pace._slice()
    assert (large.due, small.due) == (True, False)


async def test_what_is_newest_is_sent_and_first_to_those_who_wait_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(0.000_125)  # eight of them are a slice
    pace = Pace(clock)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", lambda when, call: None)
    channel = crowd(pace, clock, 16)
    channel.publish(Message.of(b"a1"))
    pace._slice()
    channel.publish(Message.of(b"a2"))
    pace._slice()
    assert [wire.taken for wire in clock.wires] == [[b"a1"]] * 8 + [[b"a2"]] * 8
    pace._slice()
    assert [wire.taken for wire in clock.wires] == [[b"a1", b"a2"]] * 8 + [[b"a2"]] * 8
    assert not channel.due


async def test_nothing_is_kept_for_who_is_behind() -> None:
    clock = Clock(0.0)
    channel = crowd(Pace(clock), clock, 2)
    slow, quick = clock.wires
    slow.full = True
    for text in (b"a1", b"a2"):
        channel.publish(Message.of(text))
        channel.send_some(10)
        channel.try_again()
        channel.send_some(10)
    slow.full = False
    channel.try_again()
    channel.send_some(10)
    assert (slow.taken, quick.taken) == ([b"a2"], [b"a1", b"a2"])
    channel.remind()
    channel.send_some(10)
    assert (slow.taken[-1], quick.taken[-1]) == (b"nothing new", b"nothing new")


async def test_who_joins_while_something_was_said_is_told() -> None:
    clock = Clock(0.0)
    channel = crowd(Pace(clock), clock, 1)
    channel.publish(Message.of(b"a1"))
    late = Wire()
    channel.join(Reader(late, chunked=True), 0)
    channel.send_some(10)
    assert late.taken == [b"2\r\na1\r\n"]
    await channel.end()
    after = Reader(Wire(), chunked=True)
    channel.join(after, 1)
    assert after.ended.done()
