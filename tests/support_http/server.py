"""The real server: as a program of its own, or as an application in the process of the test."""

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest
from aiohttp import web

from flashsale.api.app import build_app
from flashsale.api.protocol import Runner
from flashsale.process.http_worker import CUT_SECONDS
from flashsale.settings import load_settings
from tests.process.programs import Program, eventually
from tests.support_http.client import ROOT_KEY, SECRET

HTTP_WORKER = "flashsale.process.http_worker"
PATIENT: Final = {"FLASHSALE_REDIS_TIMEOUT_MS": "20000", "FLASHSALE_REQUEST_DEADLINE_MS": "20000"}
"""Settings of servers that are not asked how they cope with a slow store: a machine that stalls makes nobody busy."""


def debian_server(what: str) -> Path:
    """Redis as Debian builds it, which can do `what`. Where it is missing CI fails and others skip."""
    path = Path("/usr/bin/redis-server")
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing, so {what} was not tested")
        pytest.skip(f"{path} is missing: it is what {what} is tested with")
    return path


class Server:
    """`flashsale serve`, with the secrets of the tests; `arguments` say which store."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        *,
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        settings = {
            "FLASHSALE_ROOT_KEY": ROOT_KEY,
            "FLASHSALE_SHOPPER_SECRET": SECRET,
            "FLASHSALE_LOG_FORMAT": "json",
            "FLASHSALE_WORKERS": str(workers),
            "FLASHSALE_PORT": str(port),
            **PATIENT,
        }
        folder.mkdir(parents=True, exist_ok=True)
        command = ["-m", "flashsale", "serve", *arguments]
        self.program = Program(command, folder, {**settings, **(env or {})})
        self.url = eventually(self._announced, "the server says where it is")

    def _announced(self) -> str:
        assert self.program.process.poll() is None, self.program.err()
        found = re.search(r"serving on (http://\S+)", self.program.out())
        return found[1] if found else ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def workers(self) -> list[psutil.Process]:
        """The HTTP workers that run now."""
        found = []
        for process in self.program.family()[1:]:
            try:
                if HTTP_WORKER in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def stop(self) -> None:
        """Ends it at once; everything it started has to end with it."""
        family = self.program.family()
        self.program.end()
        _, left = psutil.wait_procs(family[1:], timeout=30)
        for process in left:
            process.kill()
        assert not left, f"left running: {left}"


@asynccontextmanager
async def app_on(store_url: str, env: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """The address of the real application on a real socket, in this process: it is there at once."""
    settings = {
        "FLASHSALE_REDIS_URL": store_url,
        "FLASHSALE_ROOT_KEY": ROOT_KEY,
        "FLASHSALE_SHOPPER_SECRET": SECRET,
        **PATIENT,
        **(env or {}),
    }
    app = build_app(load_settings(settings, purpose="serve"))
    runner = Runner(app, fast_lane=True, access_log=None, shutdown_timeout=CUT_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
