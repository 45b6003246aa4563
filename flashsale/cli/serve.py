"""`flashsale serve`: the HTTP API, and with `--embedded` everything it needs."""

import sys
from functools import partial

import click

from flashsale.cli.options import ORDER_FIELDS, PAGE_FIELDS, PAYMENT_FIELDS, setting_options, settings_or_exit

EXIT_FAILED = 1


@click.command("serve")
@setting_options(
    "redis_url",
    "embedded",
    "data_dir",
    "host",
    "port",
    "workers",
    "shopper_public_key",
    "guests",
    "log_format",
    "log_level",
    "queue_limit",
    "fast_lane",
    "batch_limit",
    "batches_in_flight",
    "request_deadline_ms",
    "redis_timeout_ms",
    "drain_seconds",
    "sweep_interval_ms",
    "keep_attempts",
    *PAYMENT_FIELDS,
    *ORDER_FIELDS,
    "pages",
    *PAGE_FIELDS,
    "cors_origins",
)
def command(**options: object) -> None:
    """Serve the HTTP API and the pages until Ctrl-C or SIGTERM, which cut off no request that is being answered.

    With --embedded it is all in one: a Valkey server of its own, whose data stays in the data directory, the
    background work, and a simulator of payments unless another provider is named. With --redis-url run
    `flashsale work` beside it.

    Secrets come from the environment only: FLASHSALE_ROOT_KEY, the API key that creates the others, and
    FLASHSALE_SHOPPER_SECRET or FLASHSALE_SHOPPER_PUBLIC_KEY, which verify the shoppers' tokens; and those of
    the payment provider.
    """
    settings = settings_or_exit(options, "serve")
    if settings.embedded:
        settings = settings.with_archive()

    # Imported once the settings are known to be good, so that their faults are named at once.
    from flashsale.logs import configure_logs, log_remarks
    from flashsale.process.embedded import DataDirError, EmbeddedError
    from flashsale.process.listeners import CannotListenError
    from flashsale.process.supervisor import Supervisor

    configure_logs(settings, "supervisor")
    log_remarks(settings)
    announce = partial(_announce, pages=settings.pages)
    try:
        code = Supervisor(settings, http=True, work=settings.embedded, announce=announce).run()
    except (EmbeddedError, DataDirError) as error:
        click.echo(f"flashsale cannot start: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except CannotListenError as error:
        click.echo(f"flashsale {error}", err=True)
        sys.exit(EXIT_FAILED)
    sys.exit(code)


def _announce(url: str, *, pages: bool) -> None:
    try:
        click.echo(f"flashsale is serving on {url}")
        if pages:
            click.echo(f"shop pages: {url}/s/SALE, console: {url}/console")
    except BrokenPipeError:
        return  # whoever started us does not listen; the log has it as well
