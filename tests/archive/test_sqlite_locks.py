"""An archive in SQLite that is opened again in a process keeps the locks that the process has on it."""

import asyncio
import subprocess
import sys
from pathlib import Path

from flashsale.archive import Archive
from flashsale.engine.cloudevents import EventMaker
from tests.support.archiving import trade
from tests.support.sales import SALE
from tests.support.shop import Shop

PROGRAM = "import sys; from flashsale.archive import Archive; Archive.open(sys.argv[1]).close()"


async def test_what_is_archived_is_there_though_others_have_come_and_gone(shop: Shop, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/archive.db"
    archiver = Archive.open(url)
    archiver.positions()
    Archive.open(url).close()  # as the guard and the webhooks of the same process do
    # Another process, such as `flashsale recover`: who leaves last tidies up, and it must not think that it is the last.
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", PROGRAM, url], check=True)
    await trade(shop)
    facts = await shop.facts()
    events = await EventMaker(shop.sale_store, "test").make(SALE, facts)
    assert archiver.append(SALE, 0, list(zip(facts, events, strict=True)))
    other = Archive.open(url)
    assert other.facts(SALE) == facts
    other.close()
    archiver.close()
