"""Deliverers and receivers as processes of their own, which can be killed.

Each is forked from a server that has everything imported already, so that many start in the time of one.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

import uvloop
from aiohttp import web

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.outgoing import Outbox
from flashsale.engine.publisher import Publisher
from flashsale.logs import configure_logs
from flashsale.settings import load_settings
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import WebhookStore
from flashsale.webhooks.addresses import Guard
from flashsale.webhooks.sender import Sender
from flashsale.workers.deliveries import Deliverer
from flashsale.workers.outbox import publish
from tests.webhooks.inbox import Message, verified

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", "tests.webhooks.processes"])
LEASE_MS = 400


class Killable:
    """A process that runs until it is killed."""

    process: BaseProcess

    def kill(self) -> None:
        """As kill -9 does; waits until it has ended."""
        self.process.kill()
        self.process.join(60)
        assert self.process.exitcode is not None

    def send(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Worker(Killable):
    """A publisher and a deliverer on the store at `url`."""

    def __init__(self, url: str, log: Path) -> None:
        self.process = _FORKS.Process(target=_work, args=(url, log))
        self.process.start()


class Receiver(Killable):
    """A receiver that checks what comes, and writes it down before it says that it has."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.secret_file = file.with_suffix(".secret")
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(128)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self.process = _FORKS.Process(target=_receive, args=(self._listening, file, self.secret_file))
        self.process.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._listening.close()

    def taken(self) -> dict[str, list[int]]:
        """Sale -> sequences in the order in which they came."""
        found: dict[str, list[int]] = {}
        if self._file.exists():
            for line in self._file.read_text().splitlines():
                sale, sequence = line.split()
                found.setdefault(sale, []).append(int(sequence))
        return found


def _work(url: str, log: Path) -> None:
    _say_into(log)
    configure_logs(load_settings({"FLASHSALE_LOG_FORMAT": "json"}), "work")

    async def work() -> None:
        store, stop = Store.connect(url), asyncio.Event()
        sales, orders = SaleStore(store), OrderStore(store)
        maker = EventMaker(sales, "test")
        sender = Sender(Guard(private_networks=True), timeout_s=10)
        outbox = Outbox(orders, sales, maker)
        deliverer = Deliverer(WebhookStore(store), sales, outbox, sender, days=5, lease_ms=LEASE_MS)
        async with asyncio.TaskGroup() as group:
            group.create_task(publish(Publisher(sales, orders, maker), sales, stop))
            group.create_task(deliverer.run(stop))

    uvloop.run(work())


def _receive(listening: socket.socket, file: Path, secret_file: Path) -> None:
    def take(message: Message) -> int:
        if not verified(message, secret_file.read_text()):
            return 400
        with file.open("a") as out:
            out.write(f"{message.sale} {message.sequence}\n")
        return 204

    async def handle(request: web.Request) -> web.Response:
        message = Message(request.path, dict(request.headers), await request.read(), 0)
        return web.Response(status=take(message))

    app = web.Application()
    app.router.add_post("/", handle)
    web.run_app(app, sock=listening, access_log=None, print=None, handle_signals=False)


def _say_into(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.close(descriptor)
