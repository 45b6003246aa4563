"""`flashsale simulator`: the simulated payment provider as a program of its own."""

import sys

import click

from flashsale.cli.options import setting_options, settings_or_exit

EXIT_FAILED = 1


@click.command("simulator")
@setting_options(
    "simulator_host",
    "simulator_port",
    "simulator_public_url",
    "simulator_webhook_url",
    "simulator_file",
    "simulator_seed",
    "simulator_latency_ms",
    "simulator_jitter_ms",
    "simulator_decline_percent",
    "simulator_outage_percent",
    "simulator_outage_every_seconds",
    "simulator_outage_seconds",
    "simulator_timeout_percent",
    "simulator_refund_fail_percent",
    "simulator_refund_bounce_percent",
    "simulator_duplicate_percent",
    "simulator_reorder_percent",
    "simulator_reorder_seconds",
    "simulator_delay_percent",
    "simulator_delay_seconds",
    "simulator_lose_percent",
    "log_format",
    "log_level",
)
def command(**options: object) -> None:
    """Simulate a payment provider, with whatever goes wrong at one, until Ctrl-C or SIGTERM. Nobody is charged.

    `flashsale serve --embedded` runs one of its own, unless it is told of another; the faults then come from the
    environment. FLASHSALE_SIMULATOR_SECRET, from the environment only, is the secret it shares with the shop.
    """
    settings = settings_or_exit(options, "simulator")

    # Imported once the settings are known to be good, so that their faults are named at once.
    from flashsale.logs import configure_logs, log_remarks
    from flashsale.process.child import raise_file_limit
    from flashsale.process.listeners import CannotListenError, open_listeners
    from flashsale.process.simulator_main import run_simulator
    from flashsale.simulator.books import BooksError

    configure_logs(settings, "simulator")
    log_remarks(settings)
    raise_file_limit()
    try:
        listener = open_listeners(settings.simulator_host, settings.simulator_port, 1)[0]
        run_simulator(settings, listener, on_ready=_announce)
    except (CannotListenError, BooksError) as error:
        click.echo(f"flashsale {error}", err=True)
        sys.exit(EXIT_FAILED)


def _announce(url: str) -> None:
    try:
        click.echo(f"flashsale simulates payments on {url}")
    except BrokenPipeError:
        return  # whoever started us does not listen; the log has it as well
