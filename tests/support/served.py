"""`flashsale serve --embedded` as a program of its own, on a free port, with secrets made up for the occasion."""

import re
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt

from tests.process.programs import Program, eventually
from tests.support_http.server import PATIENT


class Served:
    """A server of one test module, its data in `folder`. As a context manager it runs inside the block."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.root_key = secrets.token_urlsafe(32)
        self.shopper_secret = secrets.token_urlsafe(32)
        self.data_dir = folder / "data"
        self._folder = folder
        self._env = dict(env or {})
        self._program: Program | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._program = program = Program(
            ["-m", "flashsale", "serve", "--embedded", "--data-dir", str(self.data_dir), "--port", "0"],
            self._folder,
            {
                "FLASHSALE_ROOT_KEY": self.root_key,
                "FLASHSALE_SHOPPER_SECRET": self.shopper_secret,
                "FLASHSALE_GUESTS": "1",
                "FLASHSALE_LOG_FORMAT": "json",
                **PATIENT,
                **self._env,
            },
        )

        def announced() -> str:
            assert program.process.poll() is None, program.err()
            found = re.search(r"serving on (http://\S+)", program.out())
            return found[1] if found else ""

        self.url = eventually(announced, "the server says where it is")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._program is not None:
            self._program.send(signal.SIGTERM)
            self._program.wait()

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        assert self._program is not None
        return self._program.err()

    def token(self, customer: str, **changes: Any) -> str:
        """A shopper's token as the brand's login issues it."""
        now = int(time.time())
        claims = {"sub": customer, "aud": "flashsale", "iat": now, "exp": now + 3600, **changes}
        return jwt.encode(claims, self.shopper_secret, algorithm="HS256")
