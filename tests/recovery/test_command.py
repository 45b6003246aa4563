"""What `flashsale recover` says, and with which exit code."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flashsale.archive import Archive
from flashsale.cli.main import cli
from flashsale.store.guarding import GuardStore
from flashsale.store.sales import SaleStore
from tests.recovery.archived import Archived, put_back
from tests.support.sales import SALE, Clock
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop
from tests.support_http.server import PATIENT

PASSWORD = "open-sesame-open-sesame"


def recover(*arguments: str) -> Result:
    env = {"FLASHSALE_LOG_LEVEL": "critical", **PATIENT}
    return CliRunner().invoke(cli, ["recover", *arguments], env=env, catch_exceptions=False)


def lose(url: str, archive_url: str, *, opens_in_ms: int = 0) -> None:
    """A sale that only the archive has."""

    async def scenario() -> None:
        archive = Archive.open(archive_url)
        async with GuardStore(url, timeout_ms=PATIENCE_MS) as store:
            sales = SaleStore(store.store, timeout_s=PATIENCE_S)
            shop = Shop(store.store, sales, Clock())
            shop.clock.now_ms -= opens_in_ms
            await shop.open({"car": 3})
            if not opens_in_ms:
                await shop.paid("ann")
            await Archived(archive, sales, SALE).keep()
            await sales.close()
            await put_back(store.store, {})
        archive.close()

    asyncio.run(scenario())


@pytest.fixture
def archive_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'archive.db'}"


def test_a_sale_is_brought_back_once(valkey: str, archive_url: str) -> None:
    lose(valkey, archive_url)
    done = recover(SALE, "--redis-url", valkey, "--archive", archive_url)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "giulia is back: 4 facts, of which 4 were missing.",
        "It goes on with 1 order and 0 holds.",
    ]
    again = recover(SALE, "--redis-url", valkey, "--archive", archive_url)
    assert (again.exit_code, again.stdout) == (0, "giulia lacks nothing: there was nothing to do.\n")


@pytest.mark.breaks_the_books("the sale is not put again")
def test_a_definition_that_is_lost_has_to_be_put_again(valkey: str, archive_url: str) -> None:
    lose(valkey, archive_url, opens_in_ms=1000)
    done = recover(SALE, "--redis-url", valkey, "--archive", archive_url)
    assert done.exit_code == 0
    assert "its definition is lost: put it again" in done.stdout


def test_an_unknown_sale_is_named(valkey: str, archive_url: str) -> None:
    done = recover(SALE, "--redis-url", valkey, "--archive", archive_url)
    assert done.exit_code == 1
    assert f"neither the store nor the archive in {archive_url[10:]} knows a sale giulia" in done.stderr


def test_what_is_missing_is_named(valkey: str, tmp_path: Path) -> None:
    for arguments, code, said in (
        ((SALE, "--redis-url", valkey, "--archive", "none"), 2, "name it with --archive"),
        ((SALE,), 2, "name the Redis with --redis-url"),
        (("No Sale", "--redis-url", valkey), 2, "No Sale cannot be the id of a sale"),
        ((SALE, "--data-dir", str(tmp_path / "none")), 1, "there is no data directory"),
        ((SALE, "--redis-url", valkey, "--archive", "mysql://db/x"), 2, "FLASHSALE_ARCHIVE"),
    ):
        done = recover(*arguments)
        assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


def test_a_store_that_is_away_is_said_to_be_without_its_password(archive_url: str) -> None:
    done = recover(SALE, "--redis-url", f"redis://:{PASSWORD}@127.0.0.1:1", "--archive", archive_url)
    assert done.exit_code == 1
    assert "the store cannot be reached; run this again when it is back" in done.stderr
    assert PASSWORD not in done.output
