"""The payment simulator that an embedded server brings along: its socket, its secret, and what its neighbours are told.

The data directory keeps its books in `simulator.jsonl`, and in `simulator.json` how to reach it: {"port", "secret"}. Both
are used again at the next start, so that pages which shoppers have open stay good, and webhooks can still be verified.
"""

import secrets
import socket
from pathlib import Path

import structlog
from pydantic import SecretStr

from flashsale.process.data_dir import read_note, write_note
from flashsale.process.listeners import BACKLOG, CannotListenError, listening_url, open_listeners
from flashsale.settings import Settings

NOTE_NAME = "simulator.json"
BOOKS_NAME = "simulator.jsonl"
WEBHOOK_PATH = "/v1/payments/simulator/events"

logger = structlog.get_logger(__name__)


class OwnSimulator:
    """The simulator of one data directory. It listens from here on; whoever connects waits for the child.

    Raises `CannotListenError` when the port that the settings name cannot be had.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        noted = _read(settings.data_dir)
        self.listener = _listen(settings, noted[0] if noted is not None else 0)
        self.url = listening_url(self.listener, reachable(settings.simulator_host))
        """Where its neighbours on this machine reach it."""
        self._secret = settings.simulator_secret
        if self._secret is None:
            self._secret = SecretStr(noted[1] if noted is not None else secrets.token_urlsafe(32))
        port = self.listener.getsockname()[1]
        note = {"port": port, "secret": self._secret.get_secret_value()}
        write_note(settings.data_dir / NOTE_NAME, note)
        logger.warning("payments.simulated", reason="payments are simulated: nobody is charged", url=self.url)

    def settings_of_shop(self, settings: Settings) -> Settings:
        """What the server and the background work are told."""
        return settings.model_copy(update={"simulator_url": self.url, "simulator_secret": self._secret})

    def settings_of_child(self, server_url: str | None) -> Settings:
        """What the simulator itself is told, and none of the shop's own secrets."""
        settings = self._settings
        webhook_url = settings.simulator_webhook_url
        if webhook_url is None and server_url is not None:
            webhook_url = server_url + WEBHOOK_PATH
        return Settings(
            **{
                field: getattr(settings, field)
                for field in Settings.model_fields
                if field.startswith(("simulator_", "log_"))
            }
        ).model_copy(
            update={
                "simulator_secret": self._secret,
                "simulator_webhook_url": webhook_url,
                "simulator_file": settings.simulator_file or settings.data_dir.absolute() / BOOKS_NAME,
            }
        )


def reachable(host: str) -> str:
    """The address at which a neighbour on this machine reaches what listens on `host`, which may be all there are."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound here


def find_simulator(settings: Settings) -> Settings:
    """The settings of background work beside an embedded server, with the simulator of that server if it has one."""
    noted = _read(settings.data_dir)
    if settings.provider != "simulator" or settings.simulator_url is not None or noted is None:
        return settings
    host = reachable(settings.simulator_host)
    url = f"http://[{host}]:{noted[0]}" if ":" in host else f"http://{host}:{noted[0]}"
    return settings.model_copy(update={"simulator_url": url, "simulator_secret": SecretStr(noted[1])})


def _listen(settings: Settings, last_port: int) -> socket.socket:
    """On the port that is asked for; if none is, on that of the last time, if it can be had."""
    try:
        listener = open_listeners(settings.simulator_host, settings.simulator_port or last_port, 1)[0]
    except CannotListenError:
        if settings.simulator_port or not last_port:
            raise
        listener = open_listeners(settings.simulator_host, 0, 1)[0]
    listener.listen(BACKLOG)
    return listener


def _read(data_dir: Path) -> tuple[int, str] | None:
    """Port and secret of the last start."""
    note = read_note(data_dir / NOTE_NAME)
    port, secret = note.get("port"), note.get("secret")
    return (port, secret) if isinstance(port, int) and isinstance(secret, str) and secret else None
