"""examples/webhook_receiver.py and .mjs: they take what is genuine and new, once, and nothing else."""

import asyncio
import base64
import io
import json
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks.webhooks import Webhook

from flashsale.client import Client
from flashsale.process.ports import ReservedPort
from tests.examples.conftest import EXAMPLES, Example, Run
from tests.support.trade import Trade
from tests.support_http.client import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(300)]

PYTHON, NODE = "webhook_receiver.py", "webhook_receiver.mjs"
INTERPRETERS: Mapping[str, str | None] = {PYTHON: sys.executable, NODE: shutil.which("node")}
# Where there is no Node, nobody can say that the receiver for it was tested; where there is one, it has to be.
RECEIVERS = [name for name, interpreter in INTERPRETERS.items() if interpreter]


class Receiver:
    """A running receiver, on a port that stays its own while it is away."""

    def __init__(self, name: str, run: Run, folder: Path, port: int) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}/orders"
        self.secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        self._run = run
        self._folder = folder
        self.example: Example | None = None

    async def start(self) -> None:
        interpreter = INTERPRETERS[self.name]
        assert interpreter is not None
        env = {
            "WEBHOOK_SECRET": self.secret,
            "WEBHOOK_DATABASE": str(self._folder / "received.sqlite"),
            "WEBHOOK_FILE": str(self._folder / "received.jsonl"),
        }
        example = self.example = self._run([interpreter, EXAMPLES / self.name, str(self.port)], **env)

        async def listens() -> bool:
            assert example.ended() is None, example.err()
            try:
                await self.send(b"{}", {})
            except aiohttp.ClientError:
                return False
            return True

        await eventually(listens, "it listens")

    def kept(self) -> list[dict[str, Any]]:
        """The events that it has kept, in the order in which they came."""
        if self.name == NODE:
            whole, _, _ = (self._folder / "received.jsonl").read_text().rpartition("\n")
            return [json.loads(line)["event"] for line in whole.splitlines()]
        with closing(sqlite3.connect(self._folder / "received.sqlite", timeout=60)) as database:
            rows = database.execute("SELECT event FROM received ORDER BY rowid").fetchall()
        return [json.loads(event) for (event,) in rows]

    def write_half(self) -> None:
        """Leaves behind what one leaves that is killed while it writes; SQLite sees to that by itself."""
        if self.name == NODE:
            with (self._folder / "received.jsonl").open("a") as file:
                file.write('{"id":"msg-2","event":{"id":"giu')

    async def send(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that it answers."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(self.url, data=io.BytesIO(body), headers=headers) as answer,
        ):
            return answer.status


def signed(
    secret: str, body: bytes, message: str = "msg-1", *, age: timedelta = timedelta()
) -> dict[str, str]:
    """The headers of a webhook, by the official library."""
    at = datetime.now(UTC) - age
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
    }


@pytest.fixture(params=RECEIVERS)
def receiver(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Any:
    with ReservedPort() as reserved:
        yield Receiver(request.param, run, tmp_path, reserved.port)


BODY = b'{"id":"giulia.0.4","type":"io.flashsale.reservation.confirmed.v1","subject":"giulia.0.x","data":{}}'


async def test_genuine_once(receiver: Receiver) -> None:
    await receiver.start()
    assert await receiver.send(BODY, signed(receiver.secret, BODY)) == 204
    assert await receiver.send(BODY, signed(receiver.secret, BODY)) == 204
    assert await receiver.send(BODY, signed(receiver.secret, BODY, "msg-2")) == 204
    assert receiver.kept() == [json.loads(BODY)] * 2


async def test_killed_while_it_writes(receiver: Receiver) -> None:
    await receiver.start()
    assert await receiver.send(BODY, signed(receiver.secret, BODY)) == 204
    for message in ("msg-2", "msg-3"):
        assert receiver.example is not None
        await asyncio.to_thread(receiver.example.kill)
        receiver.write_half()
        await receiver.start()
        assert await receiver.send(BODY, signed(receiver.secret, BODY, message)) == 204
    assert receiver.kept() == [json.loads(BODY)] * 3


async def test_one_of_several_signatures_is_enough(receiver: Receiver) -> None:
    """While a secret is being changed there are two."""
    await receiver.start()
    headers = signed(receiver.secret, BODY)
    other = signed(f"whsec_{base64.b64encode(b'other' * 6).decode()}", BODY)["webhook-signature"]
    headers["webhook-signature"] = f"{other} v1a,xyz {headers['webhook-signature']}"
    assert await receiver.send(BODY, headers) == 204


async def test_anything_else_is_refused(receiver: Receiver) -> None:
    await receiver.start()
    good = signed(receiver.secret, BODY)
    other = signed(f"whsec_{base64.b64encode(b'other' * 6).decode()}", BODY)
    refused = [
        {},
        other,
        {**good, "webhook-id": "msg-2"},
        {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        {**good, "webhook-timestamp": "soon"},
        {**good, "webhook-signature": ""},
        {**good, "webhook-signature": "v1,"},
        {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        {**good, "webhook-signature": good["webhook-signature"][:-8]},
        signed(receiver.secret, BODY, age=timedelta(minutes=6)),
        signed(receiver.secret, BODY, age=-timedelta(minutes=6)),
        *({name: text for name, text in good.items() if name != left_out} for left_out in good),
    ]
    for headers in refused:
        assert await receiver.send(BODY, headers) == 401, headers
    assert await receiver.send(BODY + b" ", good) == 401
    assert await receiver.send(b"x" * 2_000_000, good) == 413
    assert receiver.kept() == []


async def test_who_hangs_up_in_the_middle_ends_nothing(receiver: Receiver) -> None:
    await receiver.start()
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf of")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await receiver.send(BODY, signed(receiver.secret, BODY)) == 204
    assert await receiver.send(BODY, signed(receiver.secret, BODY, "msg-2")) == 204


async def test_the_shop_sends_all_orders_though_the_receiver_dies(receiver: Receiver, trade: Trade) -> None:
    async with Client(trade.url, trade.key) as client:
        body = {"url": receiver.url, "sale": trade.sale}
        webhook = await client.request("POST", "/v1/webhooks", body)
        receiver.secret = webhook["secret"]
        try:
            await receiver.start()
            made = await trade.sell(trade.sale, 20)
            await eventually(lambda: has(receiver, 10), "some have come")
            assert receiver.example is not None
            await asyncio.to_thread(receiver.example.kill)
            await trade.undo(made[2])
            await receiver.start()
            await eventually(lambda: has(receiver, 21), "all have come")
        finally:
            await client.request("DELETE", f"/v1/webhooks/{webhook['id']}")
    events = receiver.kept()
    assert [int(event["sequence"]) for event in events] == list(range(1, 22))
    assert {event["subject"]: event["data"]["status"] for event in events} == await trade.orders(trade.sale)
    assert receiver.secret not in receiver.example.out() + receiver.example.err()


async def has(receiver: Receiver, count: int) -> bool:
    return len(receiver.kept()) >= count
