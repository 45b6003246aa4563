"""`flashsale work`: the background work, beside `flashsale serve --redis-url`."""

import sys

import click

from flashsale.cli.options import ORDER_FIELDS, PAYMENT_FIELDS, setting_options, settings_or_exit

EXIT_FAILED = 1


@click.command("work")
@setting_options(
    "redis_url",
    "embedded",
    "data_dir",
    "log_format",
    "log_level",
    "redis_timeout_ms",
    "sweep_interval_ms",
    "work_only",
    *PAYMENT_FIELDS,
    *ORDER_FIELDS,
)
def command(**options: object) -> None:
    """Do the background work until Ctrl-C or SIGTERM; any number of these may run side by side.

    Payments and the end of holds; then what goes out: the order feed, webhooks, and the archive, which is an SQLite
    file in the data directory unless --archive says otherwise. --work-only does one of the two.

    With --embedded it works for the Valkey server that runs in the data directory, and starts one if need be.
    """
    settings = settings_or_exit(options, "work").with_archive()

    # Imported once the settings are known to be good, so that their faults are named at once.
    from flashsale.logs import configure_logs, log_remarks
    from flashsale.process.embedded import DataDirError, EmbeddedError, find_running
    from flashsale.process.listeners import CannotListenError
    from flashsale.process.own_simulator import find_simulator

    if settings.embedded:
        running = find_running(settings.data_dir)
        if running is not None:
            settings = find_simulator(settings)
            found = {"redis_url": running, "embedded": False, "payment_provider": settings.provider}
            settings = settings.model_copy(update=found)
    configure_logs(settings, "work")
    log_remarks(settings)
    if not settings.embedded:
        from flashsale.process.work_main import run_work

        run_work(settings)
        return

    from flashsale.process.supervisor import Supervisor

    try:
        sys.exit(Supervisor(settings, http=False, work=True).run())
    except (EmbeddedError, DataDirError) as error:
        click.echo(f"flashsale cannot start: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except CannotListenError as error:
        click.echo(f"flashsale {error}", err=True)
        sys.exit(EXIT_FAILED)
