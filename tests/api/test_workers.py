"""Several workers are one server: one /metrics for all, nothing cut off when it leaves."""

import asyncio
import json
import re
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.process.clients import has_been_ended
from tests.support_http.client import Shop, eventually, lines, new_sale_id, token
from tests.support_http.server import Server, app_on


async def measured(shop: Shop, name: str, **labels: str) -> float:
    """The sum of a metric over all its labels, or of those that have these."""
    text = (await shop.ask("GET", "/metrics")).body.decode()
    total = 0.0
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            total += float(found[2])
    return total


async def press(url: str, sale: str, customers: range) -> Counter[int]:
    """Each customer reserves over a connection of its own; statuses counted."""

    async def one(number: int) -> int:
        async with Shop(url) as shop:
            return (await shop.reserve(sale, f"c-{number}")).status

    return Counter(await asyncio.gather(*(one(number) for number in customers)))


async def test_metrics_are_of_all_workers(valkey: str, servers: list[Server], tmp_path: Path) -> None:
    server = Server(tmp_path, ["--redis-url", valkey], workers=2)
    servers.append(server)
    sale, outcomes = new_sale_id(), "flashsale_reserve_outcomes_total"
    async with Shop(server.url) as shop:
        (await shop.define(sale, stock=60)).must(201)
        assert await press(server.url, sale, range(80)) == {201: 60, 409: 20}

        async def counted(held: int) -> bool:
            return await measured(shop, outcomes, outcome="held") == held

        await eventually(lambda: counted(60), "both workers' reservations are counted")
        assert await measured(shop, outcomes, outcome="sold_out") == 20
        assert await measured(shop, "flashsale_http_requests_total", method="POST", status="201") == 60
        assert await measured(shop, "flashsale_http_workers") == 2

        before = server.workers()
        assert len(before) == 2
        for victim in before:
            victim.kill()
            victim.wait(60)

            async def replaced(dead: int = victim.pid) -> bool:
                pids = {worker.pid for worker in server.workers()}
                return len(pids) == 2 and dead not in pids and await shop.ready()

            await eventually(replaced, "another worker serves in its place")
            assert await measured(shop, outcomes, outcome="held") == 60  # what it had counted is not lost
        await eventually(lambda: alive_workers(shop, 2), "two workers are counted")
        (await shop.restock(sale, 10)).must(200)
        assert await press(server.url, sale, range(100, 110)) == {201: 10}
        await eventually(lambda: counted(70), "the new workers add to what the dead ones had counted")
        await shop.audit(sale)


async def alive_workers(shop: Shop, count: int) -> bool:
    return await measured(shop, "flashsale_http_workers") == count


@dataclass
class Seen:
    """What a crowd of clients saw of a server that leaves."""

    held: list[str] = field(default_factory=list)
    answered: int = 0
    cut_off: list[str] = field(default_factory=list)


async def press_until_refused(port: int, sale: str, number: int, seen: Seen) -> None:
    """Reserves as fast as it can on connections that it keeps, until no connection can be had any more."""
    for round_number in range(1_000_000):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        try:
            await _press_on(reader, writer, sale, f"c-{number}-{round_number}", seen)
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.cut_off.append(f"client {number}: {error!r}")
        finally:
            writer.close()


async def _press_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sale: str, name: str, seen: Seen
) -> None:
    body = json.dumps(lines()).encode()
    for count in range(1_000_000):
        # A server may end a connection on which nothing was asked; what is sent from then on was never let in.
        if reader.at_eof() or has_been_ended(writer):
            return
        head = f"POST /v1/sales/{sale}/reservations HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Authorization: Bearer {token(f'{name}-{count}')}\r\n\r\n".encode() + body)
        await writer.drain()
        answer_head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", answer_head)
        assert length is not None, answer_head
        answer = json.loads(await reader.readexactly(int(length[1])))
        assert int(answer_head.split()[1]) in {201, 409}, answer
        seen.answered += 1
        if "place" in answer:
            seen.held.append(answer["id"])
        if "connection: close" in answer_head.lower():
            return


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_leaves_cuts_nobody_off(
    valkey: str, servers: list[Server], tmp_path: Path, workers: int
) -> None:
    server = Server(tmp_path, ["--redis-url", valkey], workers=workers)
    servers.append(server)
    sale, seen = new_sale_id(), Seen()
    async with app_on(valkey) as url, Shop(url) as shop:
        (await shop.define(sale, stock=1_000_000)).must(201)
        crowd = [asyncio.create_task(press_until_refused(server.port, sale, n, seen)) for n in range(40)]

        async def busy() -> bool:
            return seen.answered > 300

        await eventually(busy, "the crowd is at it")
        server.program.send(signal.SIGTERM)
        await asyncio.gather(*crowd)
        assert await asyncio.to_thread(server.program.wait) == 0
        assert seen.cut_off == []
        # Each reservation that was made was told to a client, and each that was told was made.
        report = await shop.audit(sale)
        assert report["reservations"] == {"held": len(seen.held)}
        assert len(set(seen.held)) == len(seen.held)
