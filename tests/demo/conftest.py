"""A whole demo against the server of `lying_server`, with the crowd as the separate process it always is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flashsale.demo.definitions import load_sale
from flashsale.demo.figures import Result
from flashsale.demo.messages import Shares
from flashsale.demo.run import DemoOptions, ServerStarter, run_demo
from flashsale.demo.server import Secrets, Trouble
from flashsale.process.own_server import Address
from tests.demo.lying_server import LyingServer, serving

Demo = Callable[..., Awaitable[tuple[Result, str]]]

EVERYBODY_PAYS = Shares(decline=0, walk_away=0, late=0, come_back=30)


def starter(server: LyingServer) -> ServerStarter:
    @asynccontextmanager
    async def start(
        _keys: Secrets, _data_dir: Path, _workers: int, _trouble: Trouble
    ) -> AsyncIterator[Address]:
        async with serving(server) as url:
            yield Address(url, url, "no secret")

    return start


@pytest.fixture
def options(tmp_path: Path) -> DemoOptions:
    return DemoOptions(
        sale=load_sale("giulia", 20, hold_seconds=2),
        shoppers=120,
        connections=30,
        workers=1,
        seed=7,
        data_dir=None,
        out_dir=tmp_path / "out",
        countdown_s=1.0,
        patience_s=30.0,
        shares=EVERYBODY_PAYS,
    )


@pytest.fixture
def demo(options: DemoOptions) -> Demo:
    async def run(server: LyingServer, **changes: Any) -> tuple[Result, str]:
        results: list[Result] = []
        console = Console(file=StringIO(), width=120)
        await run_demo(replace(options, **changes), console, results.append, start_server=starter(server))
        assert isinstance(console.file, StringIO)
        return results[0], console.file.getvalue()

    return run
