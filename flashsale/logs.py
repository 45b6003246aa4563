"""Structured logs on standard error: JSON lines, or a console form on a terminal, with no secret in either.

Everything passes through one formatter: our own events (`structlog.get_logger(__name__)`), the standard
library's loggers (aiohttp, asyncio, redis), warnings, and exceptions that nobody caught. The last step before
the line is written takes out what looks like a secret, and every value that the settings say is one.
"""

import logging
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from flashsale.settings import Settings, remarks

REDACTED = "[redacted]"
MIN_SECRET_CHARACTERS = 4  # a shorter one would turn up inside ordinary words

SECRET_KEYS = re.compile(
    r"(?:^|[_-])(?:authorization|cookie|password|secret|token|api[_-]?key|root[_-]?key)$", re.IGNORECASE
)
PATTERNS = (
    # a password in an address: redis://user:password@host
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s/@:]*:)[^\s/@]+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (re.compile(r"([?&]password=)[^&\s'\"]+", re.IGNORECASE), rf"\1{REDACTED}"),
    # the value of an Authorization header
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # JSON web tokens, API keys and private keys, wherever they stand
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    (re.compile(r"\bfsk_[A-Za-z0-9_-]{6,}"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), REDACTED),
)


class Redactor:
    """A structlog processor that leaves no secret in an event, at any depth of its values.

    `secrets` are the values in use; they are taken out wherever they stand, also inside a traceback.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in (secret, repr(secret)[1:-1])}
        known = sorted((form for form in forms if len(form) >= MIN_SECRET_CHARACTERS), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:  # noqa: D102 - structlog's own
        return {self.text(str(key)): self._clean(str(key), value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[redacted]`."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for pattern, replacement in PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def _clean(self, key: str, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._clean(str(name), item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(key, item) for item in value]
        if SECRET_KEYS.search(key):
            return REDACTED
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        return self.text(value if isinstance(value, str) else repr(value))


def log_remarks(settings: Settings) -> None:
    """Warn of what was set and had better be changed; each process that people start says it once."""
    for remark in remarks(settings, os.environ):
        structlog.get_logger(__name__).warning("settings.remark", remark=remark)


def configure_logs(settings: Settings, process: str, *, stream: TextIO | None = None) -> None:
    """Set up the logs of this process, once, at its start.

    `process` says in every line which kind of process speaks. Logs go to `stream`, standard error by default.
    """
    stream = stream or sys.stderr
    console = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    identity = {"process": process, "pid": os.getpid()}

    def add_identity(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, **identity}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_identity,
    ]
    renderer: Processor = structlog.processors.JSONRenderer()
    if console:
        # The traceback is text by then, redacted like the rest; a prettier form would come after that.
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            Redactor(settings.secret_values()),
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # It names each of its plugins whenever an archive is opened.
    logging.getLogger("alembic").setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger(__name__).critical("uncaught exception", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
        _log_uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
