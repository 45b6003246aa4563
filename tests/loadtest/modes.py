"""What the tests of Locust's modes do again and again."""

import json
import urllib.request
from typing import Any, Final

from tests.loadtest.runs import SMALL, Outcome
from tests.support_http.client import ROOT_KEY
from tests.support_http.server import Server

QUICK: Final = {
    **SMALL,
    "users": 30,
    "units": 5,
    "hold-seconds": 30,
    "patience": 60,
    "abandon": 0,
    "cancel": 0,
    "decline": 0,
    "come-back": 0,
}
"""Over as soon as those who got something have paid, which all of them do."""


def quick(url: str, **changes: object) -> dict[str, Any]:
    """The options of a quick run."""
    return {**{name.replace("-", "_"): value for name, value in QUICK.items()}, "host": url, **changes}


def ask_server(server: Server, path: str, body: object = None, method: str = "GET") -> Any:
    """What the shop answers to its root key."""
    request = urllib.request.Request(
        server.url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {ROOT_KEY}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def two_processes(port: int) -> dict[str, Any]:
    """Options of a run in two processes that talk to each other at this port."""
    here = {"master_bind_host": "127.0.0.1", "master_host": "127.0.0.1"}
    return {"processes": 2, "master_bind_port": port, "master_port": port, **here}


def is_green(outcome: Outcome) -> None:
    assert outcome.exit_code == 0, outcome.said + outcome.log
    assert outcome.findings == {}
    assert outcome.report["verdict"]["ok"]
    for name in ("report.html", "report.md", "report.json", "evidence.json"):
        assert (outcome.folder / name).stat().st_size > 0
