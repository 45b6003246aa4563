"""A payment simulator as a program of its own, and shoppers who pay at it.

with run_simulator(webhook_url=..., lose_percent=5) as simulator:
    env = {**simulator.env}                     # for `flashsale serve` and `work`
    simulator.pay(action["url"])                # as the shopper's browser does; "decline" and "refuse" as well
    simulator.set_faults(outage_percent=100)    # from now on
"""

import json
import re
import secrets
import shutil
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flashsale.process.ports import ReservedPort
from tests.process.programs import Program, eventually


class Simulator:
    """A simulator that runs, or has run."""

    def __init__(self, folder: Path, secret: str, settings: dict[str, object]) -> None:
        self.secret = secret
        self._folder = folder
        self._settings = settings
        self.program = self._start()
        self.url = eventually(self._announced, "the simulator says where it is")

    @property
    def env(self) -> dict[str, str]:
        """The settings of a shop that is paid through it."""
        return {
            "FLASHSALE_PAYMENT_PROVIDER": "simulator",
            "FLASHSALE_SIMULATOR_URL": self.url,
            "FLASHSALE_SIMULATOR_SECRET": self.secret,
        }

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """As kill -9 does."""
        self.program.end()

    def stop(self) -> int:
        """As SIGTERM does; its exit code."""
        self.program.send(signal.SIGTERM)
        return self.program.wait()

    def start_again(self, **settings: object) -> None:
        """A new process at the same address, after `kill` or `stop`. Settings named are changed."""
        self._settings = {**self._settings, **settings, "port": self.port}
        self.program = self._start()
        eventually(self._announced, "the simulator is there again")

    def set_faults(self, **faults: float) -> None:
        """Changes what goes wrong, by the names of the settings without `simulator_`; others stay."""
        self.call("PUT", "/v1/faults", faults)

    def payments(self) -> list[dict[str, Any]]:
        """Every payment it knows."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.call("GET", f"/v1/payments?limit=1000&after={after}")
            found += page["payments"]
            if page["next"] is None:
                return found
            after = page["next"]

    def pay(self, url: str, outcome: str | None = "succeed", **extra: object) -> tuple[int, dict[str, Any]]:
        """Status and answer of a click on the page at `url`; without an outcome chance decides.

        `amount` and `currency` may be other ones than were asked for.
        """
        parts = urlsplit(url)
        body = {"k": parse_qs(parts.query)["k"][0], **extra}
        if outcome is not None:
            body["outcome"] = outcome
        return self.ask("POST", parts.path, body)

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:
        """The answer to a call of the shop that is expected to work."""
        status, answer = self.ask(method, path, body, key)
        assert status == 200, answer
        return answer

    def ask(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer of any call; 0 when none came."""
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except OSError:
            return 0, {}

    def _start(self) -> Program:
        env = {f"FLASHSALE_SIMULATOR_{name.upper()}": str(value) for name, value in self._settings.items()}
        env |= {"FLASHSALE_SIMULATOR_SECRET": self.secret, "FLASHSALE_LOG_FORMAT": "json"}
        return Program(["-m", "flashsale", "simulator"], self._folder, env)

    def _announced(self) -> str:
        assert self.program.process.poll() is None, self.program.err()
        found = re.search(r"simulates payments on (http://\S+)\n", self.program.out())
        return found[1] if found else ""


@contextmanager
def run_simulator(*, secret: str | None = None, **settings: object) -> Iterator[Simulator]:
    """A simulator with these settings, named without their `simulator_`; it is ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="flashsale-simulator-"))
    simulator = None
    try:
        # Nobody else is given the port while the simulator is away.
        with ReservedPort() as reserved:
            settings = {"port": reserved.port, **settings}
            simulator = Simulator(folder, secret or secrets.token_urlsafe(32), settings)
            yield simulator
    finally:
        if simulator is not None:
            simulator.kill()
        shutil.rmtree(folder, ignore_errors=True)
