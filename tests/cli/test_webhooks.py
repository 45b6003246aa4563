"""`flashsale webhooks`, against a real server and its worker, with a receiver that checks what it gets."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from standardwebhooks import Webhook as OfficialWebhook

from tests.cli.conftest import Commands
from tests.process.programs import eventually
from tests.support.paying import Shopper
from tests.support.served import Served

URL = "https://93.184.216.34/hook"


class Receiver(ThreadingHTTPServer):
    """Notes what comes, and answers `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.received: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def reaching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose webhooks reach this machine."""
    with Served(tmp_path_factory.mktemp("reaching"), {"FLASHSALE_WEBHOOK_PRIVATE_NETWORKS": "1"}) as running:
        yield running


def test_orders_are_sent_listed_and_sent_again(reaching: Served, receiver: Receiver, tmp_path: Path) -> None:
    commands = Commands(reaching, tmp_path)
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    result = commands.run("webhooks", "create", url)
    assert result.exit_code == 0, result.output
    secret = result.stdout.strip()
    (webhook_id,) = re.findall(r"wh_[0-9a-f]{16}", result.stderr)
    assert "sends reservation.confirmed, reservation.refunded. Its secret is shown only now" in result.stderr
    assert secret not in result.stderr

    commands.define("sent", payment={"methods": ["card"]})
    order = Shopper(reaching.url, reaching.token("c-1")).order("sent")
    eventually(lambda: receiver.received, "the order arrives")
    headers, body = receiver.received[0]
    event = OfficialWebhook(secret).verify(body, headers)
    assert event["data"]["reservation"] == order["id"]

    eventually(
        lambda: commands.json("webhooks", "deliveries", webhook_id, "--sale", "sent")["deliveries"],
        "it is told",
    )
    text = commands.must("webhooks", "deliveries", webhook_id)
    assert re.search(rf"{re.escape(event['id'])}\s+1\s+1\s+\d+\s+delivered \(204\)", text)
    text = commands.must("webhooks", "show", webhook_id)
    assert text.startswith(f"{webhook_id}  on  reservation.confirmed, reservation.refunded\n{url}\n1 sale\n")
    assert re.search(r"sent\s+1\s+1\s+0\s+-\s+-", text)

    receiver.status = 410
    assert "gets sent again after number 0" in commands.must("webhooks", "replay", webhook_id, "sent")
    eventually(lambda: len(receiver.received) == 2, "it arrives again")
    assert receiver.received[1][1] == body
    eventually(
        lambda: commands.json("webhooks", "show", webhook_id)["reason"] == "gone", "it is switched off"
    )
    assert re.search(rf"{webhook_id}\s+off: gone\s+1\s+1", commands.must("webhooks", "list"))
    assert "answered 410" in commands.must("webhooks", "show", webhook_id)
    receiver.status = 200
    assert f"{webhook_id} is on" in commands.must("webhooks", "enable", webhook_id)
    eventually(lambda: len(receiver.received) == 3, "it arrives once more")
    assert "webhooks.fault" not in reaching.log


def test_a_webhook_is_made_rotated_and_removed(commands: Commands) -> None:
    made = commands.json("webhooks", "create", URL, "--type", "reservation.held", "--sale", "one")
    assert (made["sale"], made["types"]) == ("one", ["io.flashsale.reservation.held.v1"])
    assert made["secret"].startswith("whsec_")
    assert " of one\n" in commands.must("webhooks", "show", made["id"])
    rotated = commands.must("webhooks", "rotate", made["id"]).strip()
    assert rotated.startswith("whsec_")
    assert rotated != made["secret"]
    assert "signs until" in commands.must("webhooks", "show", made["id"])
    assert commands.json("webhooks", "rotate", made["id"])["secret"].startswith("whsec_")
    listed = json.dumps(commands.json("webhooks", "list"))
    assert made["id"] in listed
    assert "whsec_" not in listed
    assert "Nothing was sent yet" in commands.must("webhooks", "deliveries", made["id"])
    assert "is removed" in commands.must("webhooks", "delete", made["id"])
    assert "There is no webhook." in commands.must("webhooks", "list")
    for arguments in (["show"], ["delete"], ["rotate"], ["enable"], ["deliveries"]):
        assert "(not_found)" in commands.fails("webhooks", *arguments, made["id"])
    assert "(not_found)" in commands.fails("webhooks", "replay", made["id"], "one")


def test_without_a_server_the_settings_here_say_where_webhooks_may_go(
    commands: Commands, valkey: str
) -> None:
    here: dict[str, Any] = {"FLASHSALE_URL": None, "FLASHSALE_REDIS_URL": valkey}
    url = "http://127.0.0.1:1/hook"
    assert "public internet" in commands.fails("webhooks", "create", url, **here)
    made = commands.json("webhooks", "create", url, **here, FLASHSALE_WEBHOOK_PRIVATE_NETWORKS="1")
    assert made["url"] == url
    commands.must("webhooks", "delete", made["id"], **here)


def test_what_cannot_be(commands: Commands) -> None:
    assert "; url: the address is not one of the public internet" in commands.fails(
        "webhooks", "create", "http://127.0.0.1/"
    )
    assert "; types[0]: " in commands.fails("webhooks", "create", URL, "--type", "no.such.type")
    assert "--limit" in commands.fails("webhooks", "deliveries", "x", "--limit", "0", exit_code=2)
    weak = commands.json("keys", "create", "support", "--scope", "support")["key"]
    assert "scope orders" in commands.fails("webhooks", "list", FLASHSALE_API_KEY=weak)
