"""The crowd of a rehearsal: Locust as a process of its own, with the load test that the package brings along.

Importing Locust patches whatever process does it, so nothing of ours imports it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import flashsale
from flashsale.process.own_program import OwnProgram, foreign_environment

NEEDED: Final = ("locust", "jinja2", "matplotlib", "requests")
"""The libraries of the extra `load`."""
LOG_NAME: Final = "locust.log"
STOP_SECONDS_MAX: Final = 60.0
"""So long a crowd that is told to end may take for those who are paying, and for its report."""
OK, RED, NOT_RUN = 0, 1, 2
"""Exit codes of a load test: every promise was kept; one was not; it could not be run."""


class CrowdError(Exception):
    """The crowd cannot come; the message says why, and what to do."""


@dataclass(frozen=True)
class Crowd:
    """Who comes, and to which sale."""

    url: str
    sale: str
    definition: Path
    shoppers: int
    spawn_rate: int
    """Shoppers that arrive in a second, before the sale opens."""
    processes: int
    report: Path
    """The folder of the report. It is there."""
    options: Mapping[str, float | str] = field(default_factory=dict)
    """More options of the load test, by their names without the hyphens."""

    def arguments(self) -> list[str]:
        """The command line behind `python`. No secret is in it."""
        found = [
            *("-m", "locust", "-f", str(folder()), "--headless", "--only-summary", "-H", self.url),
            *("--users", str(self.shoppers), "--spawn-rate", str(self.spawn_rate)),
            *("--sale", self.sale, "--definition", str(self.definition), "--rehearsal"),
            *("--report", str(self.report)),
        ]
        for name, value in self.options.items():
            found += (f"--{name}", str(value))
        if self.processes > 1:
            found += ("--processes", str(self.processes))
        return found

    async def run(self, api_key: str, shopper_secret: str | None) -> int:
        """Lets it come, and waits until it has gone; the exit code, see `OK`.

        When this is cancelled the crowd is asked to end, which it does with a report; cancelled again, it is killed.
        """
        env = _environment() | {"FLASHSALE_ROOT_KEY": api_key}
        if shopper_secret is not None:
            env["FLASHSALE_SHOPPER_SECRET"] = shopper_secret
        program = OwnProgram(
            [sys.executable, *self.arguments()],
            env=env,
            log=self.report / LOG_NAME,
            cwd=self.report,  # nobody's locust.conf or pyproject.toml has a say in it
            forks=True,
        )
        try:
            await program.wait()
        except asyncio.CancelledError:
            await program.stop(signal.SIGINT, STOP_SECONDS_MAX)
            raise
        finally:
            code = program.kill()
        return code if code in {OK, RED} else NOT_RUN

    def last_words(self) -> str:
        """Why it could not come, or the end of what it has said."""
        said = (self.report / LOG_NAME).read_text(errors="replace").splitlines()
        plain = [line for line in said if line.startswith("The load test cannot be run: ")]
        return "\n".join(plain[-1:] or said[-15:])


def folder() -> Path:
    """The folder of locustfiles: in the package, or beside it in a checkout.

    Raises:
        CrowdError: it is in neither.
    """
    package = Path(flashsale.__file__).parent
    for found in (package / "loadtest", package.parent / "loadtest"):
        if (found / "shoppers.py").is_file():
            return found
    raise CrowdError("the load test is missing: this package of flashsale is not complete")


def check_installed() -> None:
    """Sees that what the load test needs is there.

    Raises:
        CrowdError: it is not.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise CrowdError(
            f"a rehearsal needs what is not installed here ({', '.join(missing)}): pip install 'flashsale[load]'"
        )


def _environment() -> dict[str, str]:
    """What Locust would read of its own would be meant for another load test."""
    return {name: value for name, value in foreign_environment().items() if not name.startswith("LOCUST_")}
