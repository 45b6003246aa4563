"""How many connections this process may have: each shopper has one."""

import sys
from typing import Final

if sys.platform != "win32":
    import resource

SPARE: Final = 200
"""Files that a load process opens besides: libraries, its log, Locust's own connections, second devices."""


def raise_limit() -> int:
    """Lets this process open as many files as the system permits; how many, 0 for any number."""
    if sys.platform == "win32":
        return 0
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard == resource.RLIM_INFINITY:
            return 0
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # a system that says one thing and does another
        return 0
    return hard


def fault(users: int, processes: int) -> str:
    """What to do when so many users are too many for these load processes; empty when they are not."""
    share, most = -(-users // max(1, processes)), raise_limit()
    if not most or share + SPARE <= most:
        return ""
    needed = -(-users // max(1, most - SPARE))
    return (
        f"{share:,} users in a load process need as many connections, and it may open {most:,} files: "
        f"take {needed} or more (--processes {needed}), or raise the limit (ulimit -n)"
    )
