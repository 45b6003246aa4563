"""The background work as a process: what nobody waits for, such as ending holds that are over.

    python -m flashsale.process.work_main PARENT_FD

The settings come in the environment.
"""

import asyncio
import os
import sys

import structlog
import uvloop

from flashsale.logs import configure_logs
from flashsale.process.child import ParentWatch, StopSignals
from flashsale.settings import Settings, load_settings

LEAVE_SECONDS = 2.0

logger = structlog.get_logger("flashsale.process.work_main")  # run as __main__


def run_work(settings: Settings, parent: ParentWatch | None = None) -> None:
    """Do the background work until SIGTERM or SIGINT; `settings.redis_url` says where."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, parent))


async def _work(settings: Settings, parent: ParentWatch | None) -> None:
    from flashsale.workers import run_workers  # noqa: PLC0415 (after the logs, so that a fault in it is logged)

    signals = StopSignals(asyncio.get_running_loop())
    if parent is not None:
        parent.on_death(signals.leave_soon, LEAVE_SECONDS + 1)
    work = asyncio.create_task(run_workers(settings, signals.leave))
    leave = asyncio.create_task(signals.leave.wait())
    logger.info("work.ready")
    await asyncio.wait({work, leave}, return_when=asyncio.FIRST_COMPLETED)
    leave.cancel()
    # A batch that is on its way to Redis is finished; whatever takes longer than that is cut short.
    _, unfinished = await asyncio.wait({work}, timeout=LEAVE_SECONDS)
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)
    if not unfinished:
        work.result()
    logger.info("work.ended")


def main(arguments: list[str]) -> None:
    """Entry point of the child process; the argument is the inherited descriptor of the parent's pipe."""
    parent = ParentWatch(int(arguments[0]))
    settings = load_settings(os.environ)
    configure_logs(settings, "work")
    run_work(settings, parent)


if __name__ == "__main__":
    main(sys.argv[1:])
