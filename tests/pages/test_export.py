"""`flashsale pages export`: the same pages from a host of static files, which know the shop by its address alone."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner, Result

from flashsale.cli.main import cli
from flashsale.pages.assets import CHART, Site
from flashsale.settings import load_settings
from tests.pages.conftest import OpenDevice
from tests.support.shopping import pay, take
from tests.support.stage import PagesHouse, Stage
from tests.support.static_host import StaticHost, rules_of
from tests.support_http.server import app_on

SITE = Site.load(load_settings({}))


def exported(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Result:
    arguments = ["pages", "export", str(folder), *options]
    return CliRunner().invoke(cli, arguments, env={"FLASHSALE_API_KEY": "", **(env or {})})


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_everything_of_the_shop_page_is_written(tmp_path: Path) -> None:
    done = exported(tmp_path / "out", "--guests", "--pages-brand", "Milano Motors")
    assert done.exit_code == 0, done.output
    assert f"version {SITE.digest}" in done.output
    assert "--pages-api-url" in done.output
    assert (tmp_path / "out" / "shop.html").read_bytes() == SITE.shop.body
    wanted = {name for name in SITE.files if not name.startswith("console/") and name != CHART}
    assert files_of(tmp_path / "out") == {f"pages/{SITE.digest}/{name}" for name in wanted} | {
        "shop.html",
        "pages/config.json",
        "pages/brand.css",
        "_headers",
        "_redirects",
    }
    for name in wanted:
        assert (tmp_path / "out" / "pages" / SITE.digest / name).read_bytes() == SITE.files[name].body
    told = json.loads((tmp_path / "out" / "pages" / "config.json").read_text())
    assert (told["api"], told["guests"], told["brand"]) == ("", True, "Milano Motors")


def test_the_console_comes_along_if_it_is_asked_for(tmp_path: Path) -> None:
    done = exported(tmp_path, "--console", "--pages-api-url", "https://api.example.com")
    assert done.exit_code == 0, done.output
    assert "--pages-api-url" not in done.output
    assert (tmp_path / "console" / "index.html").read_bytes() == SITE.console.body
    assert (tmp_path / "pages" / SITE.digest / CHART).read_bytes() == SITE.files[CHART].body


async def test_the_headers_are_those_of_the_server(tmp_path: Path) -> None:
    options = {
        "FLASHSALE_PAGES_API_URL": "https://api.example.com",
        "FLASHSALE_PAGES_EMBED_ORIGINS": "https://x.example",
    }
    assert exported(tmp_path, "--console", env=options).exit_code == 0
    rules = dict(rules_of((tmp_path / "_headers").read_text()))
    icon = f"/pages/{SITE.digest}/common/icon.svg"
    paths = {
        "/s/*": "/s/giulia", "/shop": "/s/giulia", "/shop.html": "/s/giulia",
        "/console": "/console", "/console/*": "/console", f"/pages/{SITE.digest}/*": icon,
        "/pages/config.json": "/pages/config.json", "/pages/brand.css": "/pages/brand.css",
    }  # fmt: skip
    assert set(rules) == set(paths)
    async with app_on("redis://127.0.0.1:1", options) as url, aiohttp.ClientSession() as session:
        for pattern, path in paths.items():
            async with session.get(url + path) as answer:
                served = {name.lower(): value for name, value in answer.headers.items()}
            for of_one_answer in (
                "date",
                "server",
                "etag",
                "vary",
                "content-length",
                "content-type",
                "content-encoding",
            ):
                served.pop(of_one_answer, None)
            assert {name.lower(): value for name, value in rules[pattern]} == served, pattern


def test_a_console_of_before_goes_when_it_is_not_asked_for(tmp_path: Path) -> None:
    assert exported(tmp_path, "--console").exit_code == 0
    assert exported(tmp_path).exit_code == 0
    assert not (tmp_path / "console" / "index.html").exists()  # it would be served without its headers
    assert "/console" not in (tmp_path / "_headers").read_text()


def test_the_rewrite_is_none_that_hosts_take_for_a_loop(tmp_path: Path) -> None:
    """Cloudflare's parser takes off /index and .html, and ignores a rule whose target is its own pattern then."""
    assert exported(tmp_path).exit_code == 0
    (rule,) = (tmp_path / "_redirects").read_text().splitlines()
    source, target, status = rule.split()
    assert (source, status) == ("/s/*", "200")
    assert not re.search(r"/index(\.html)?$", target)
    assert not target.startswith("/s/")
    assert (tmp_path / f"{target[1:]}.html").is_file()


def test_an_earlier_version_stays_for_pages_that_are_open(tmp_path: Path) -> None:
    old = tmp_path / "pages" / "0123456789abcdef" / "shop" / "main.js"
    old.parent.mkdir(parents=True)
    old.write_text("// of yesterday")
    (tmp_path / "shop.html").write_text("of yesterday")
    assert exported(tmp_path).exit_code == 0
    assert old.read_text() == "// of yesterday"
    assert (tmp_path / "shop.html").read_bytes() == SITE.shop.body
    assert not [name for name in files_of(tmp_path) if name.endswith(".new")]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("a file in the way")
    done = exported(tmp_path)
    assert done.exit_code == 1
    assert "cannot write the pages" in done.output
    assert exported(tmp_path / "pages").exit_code == 2


@pytest.mark.long
@pytest.mark.asyncio(loop_scope="session")
async def test_a_page_of_another_host_sells(
    house: PagesHouse, stage: Stage, devices: OpenDevice, tmp_path: Path
) -> None:
    """From a host that knows nothing of the shop, over to the server's API by CORS, to the provider, and back."""
    await stage.open(1)
    assert exported(tmp_path, "--guests").exit_code == 0  # its address is known before the server's is
    with StaticHost(tmp_path) as host:
        server = house.beside({"FLASHSALE_CORS_ORIGINS": host.url})
        try:
            assert exported(tmp_path, "--guests", "--pages-api-url", server.url).exit_code == 0
            host.rules = rules_of((tmp_path / "_headers").read_text())
            device = await devices()
            tab = await device.open(f"{host.url}/s/{stage.sale}")
            await take(tab)
            await pay(tab)
            assert tab.page.url.startswith(f"{host.url}/s/")
            (reservation,) = await stage.of(device)
            assert reservation["status"] == "confirmed"
            assert not [path for path in host.asked if path.startswith("/v1/")]
        finally:
            server.stop()
