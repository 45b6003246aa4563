"""`flashsale serve` under test: started as a user starts it, and asked over HTTP."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.process.programs import Program, eventually
from tests.support_http.server import PATIENT

ROOT_KEY = "root-key-of-the-process-tests"
SHOPPER_SECRET = "shopper-secret-of-the-process-tests-01234"
SECRETS = {"FLASHSALE_ROOT_KEY": ROOT_KEY, "FLASHSALE_SHOPPER_SECRET": SHOPPER_SECRET}
SALE = {
    "title": "A sale",
    "opens_at": "2020-01-01T00:00:00Z",
    "currency": "EUR",
    "items": [{"sku": "thing", "price": 100, "stock": 7}],
}


class Server:
    """A server process and what it says when it is asked."""

    def __init__(self, folder: Path, arguments: list[str], env: Mapping[str, str] | None = None) -> None:
        command = ["-m", "flashsale", "serve", "--port", "0", "--log-format", "json", *arguments]
        self.program = Program(command, folder, {**SECRETS, **PATIENT, **(env or {})})

    @property
    def url(self) -> str:
        """Its address, once it says that it serves."""

        def look() -> re.Match[str] | None:
            assert self.program.process.poll() is None, self.program.err()
            pages = r"shop pages: \1/s/SALE, console: \1/console\n"
            return re.fullmatch(rf"flashsale is serving on (http://\S+)\n{pages}", self.program.out())

        found = eventually(look, "the server serves")
        return found.group(1) if found else ""

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def ask(self, path: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
        """Status and decoded body, asked with the root key. Status 0 when no answer came."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {ROOT_KEY}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        except OSError:
            return 0, None
        return status, json.loads(text) if text.startswith("{") else text

    def status(self, path: str) -> int:
        return self.ask(path)[0]

    def define_sale(self, sale: str) -> None:
        status, body = self.ask(f"/v1/sales/{sale}", "PUT", SALE)
        assert status in {200, 201}, body

    def available(self, sale: str) -> int:
        """Units of the sale that can be had; -1 when the server does not know of it, or cannot say."""
        status, body = self.ask(f"/v1/sales/{sale}")
        return int(body["items"][0]["available"]) if status == 200 else -1

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Every line of its log with this event."""
        lines = [json.loads(line) for line in self.program.err().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]
