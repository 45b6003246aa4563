"""The load test itself: how many shoppers one load process fires within one second of T0, and what that costs.

The whole server has core 0, one load process core 1. Nobody presses early, so that all count whom the draw of reaction times
puts into the first second; `drawn` is how many those are. A process that is at its limit fires later than it meant to.
"""

import asyncio
import json
import math
import os
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

from bench.report import Report
from flashsale.process.own_server import ServerSecrets, own_server

SERVES, LOADS = 0, 1
ROUNDS = 3
SIGMA, REACTION_MS = 0.4, 250
LOADTEST = Path(__file__).parent.parent / "loadtest"
COLUMNS = (
    "shoppers",
    "drawn into 1 s",
    "fired within 1 s",
    "late p50 ms",
    "late p99 ms",
    "busiest second",
    "CPU/shopper ms",
)


async def fire(url: str, keys: ServerSecrets, shoppers: int, folder: Path) -> Any:
    """One run of the load test; its evidence."""
    command = [
        *(
            "taskset",
            "-c",
            str(LOADS),
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(LOADTEST),
            "--headless",
            "-H",
            url,
        ),
        *("-u", str(shoppers), "-r", "300", "--units", "350", "--only-summary", "--report", str(folder)),
        *(
            "--early",
            "0",
            "--come-back",
            "0",
            "--reaction-ms",
            str(REACTION_MS),
            "--reaction-sigma",
            str(SIGMA),
        ),
    ]
    env = os.environ | {
        "FLASHSALE_ROOT_KEY": keys.root_key,
        "FLASHSALE_SHOPPER_SECRET": keys.shopper_secret,
    }
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return json.loads((folder / "evidence.json").read_text(encoding="utf-8"))


@pytest.mark.timeout(900)
async def bench_shoppers_fired_within_a_second(report: Report, tmp_path: Path) -> None:
    keys = ServerSecrets()
    os.sched_setaffinity(0, {SERVES})  # what it starts has the same
    share = NormalDist().cdf((math.log(1000) - math.log(REACTION_MS)) / SIGMA)
    async with own_server(keys, tmp_path / "data", 1, {"FLASHSALE_LOG_LEVEL": "warning"}) as server:
        for shoppers in (1_000, 3_100, 5_000):
            runs = [
                await fire(server.shop, keys, shoppers, tmp_path / f"{shoppers}-{i}") for i in range(ROUNDS)
            ]
            processes = [run["processes"][0] for run in runs]
            middle = sorted(processes, key=lambda each: each["fired_in_first_second"])[ROUNDS // 2]
            row = (
                f"{shoppers:,}",
                f"{shoppers * share:,.0f}",
                f"{middle['fired_in_first_second']:,}",
                f"{middle['late_p50_ms']:.1f}",
                f"{middle['late_p99_ms']:.1f}",
                f"{middle['rush_cpu_share']:.0%}",
                f"{middle['cpu_seconds'] / shoppers * 1000:.2f}",
            )
            report.row(
                "One load process on one core (median of three runs)",
                COLUMNS,
                row,
                target="3,000 shoppers within 1 s of T0",
            )
