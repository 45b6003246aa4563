"""An installed `flashsale serve --embedded`, all its processes watched."""

import asyncio
import signal
import subprocess
from pathlib import Path

import aiohttp
import psutil

ROOT_KEY = "root-key-of-a-test-0123456789"
SHOPPER_SECRET = "shopper-secret-of-a-test-0123456789-0123456789"
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class EmbeddedServer:
    """The server as one process group below `folder`; it may be started again after it was stopped."""

    def __init__(self, program: Path, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [str(program), "serve", "--embedded", "--data-dir", "data", "--port", str(port)]
        self._folder = folder
        self._family: list[psutil.Process] = []
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready. AssertionError with the end of its log if never."""
        process = self._process = self._spawn()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while not await self._is_ready():
            assert process.poll() is None, f"it ended:\n{self._end_of_log()}"
            assert loop.time() < deadline, f"it is not ready:\n{self._end_of_log()}"
            await asyncio.sleep(0.1)
        self._family = psutil.Process(process.pid).children(recursive=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as output:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={
                    "PATH": "/usr/bin:/bin",
                    "FLASHSALE_ROOT_KEY": ROOT_KEY,
                    "FLASHSALE_SHOPPER_SECRET": SHOPPER_SECRET,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _end_of_log(self) -> str:
        return (self._folder / "log").read_text()[-3000:]

    async def _is_ready(self) -> bool:
        try:
            async with aiohttp.ClientSession(self.url) as http, http.get("/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def stop(self) -> int:
        """End it by SIGTERM and answer its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=STOP_SECONDS)

    def left_running(self) -> list[psutil.Process]:
        """The processes it had started and that still run, each given a moment to end."""
        return psutil.wait_procs(self._family, timeout=STOP_SECONDS)[1]

    def close(self) -> None:
        """End whatever of it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for process in self.left_running():
            process.kill()
