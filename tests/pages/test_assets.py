"""The files of the pages as they are read: packed for whoever takes that, under a digest that changes with any of them."""

from pathlib import Path

import pytest

from flashsale.api.pages import takes_gzip
from flashsale.pages.assets import Asset, Site
from flashsale.settings import load_settings

BRAND = "body { --fs-accent: #c00; }\n"
SITE = Site.load(load_settings({}))


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ([], False), ([""], False), (["gzip"], True), (["GZIP"], True), (["br, gzip;q=0.5"], True), (["gzip;q=0"], False),
        (["*"], True), (["*;q=0"], False), (["*, gzip;q=0"], False), (["identity"], False), (["x-gzip"], True),
        (["br", "gzip"], True), (["gzip;q=x"], False),
        (["gzip ; q=1.0"], True), (["gzip;q=nan"], False), (["gzipped"], False),
    ],
)  # fmt: skip
def test_who_takes_gzip(said: list[str], taken: bool) -> None:
    assert takes_gzip(said) is taken


def test_a_change_of_any_file_changes_the_digest_and_nothing_else_does(tmp_path: Path) -> None:
    css = tmp_path / "brand.css"
    css.write_text(BRAND)
    branded = Site.load(
        load_settings({"FLASHSALE_PAGES_BRAND_CSS": str(css), "FLASHSALE_PAGES_BRAND": "Milano"})
    )
    assert branded.digest == Site.load(load_settings({})).digest == SITE.digest
    assert branded.shop == SITE.shop
    for page in (SITE.shop, SITE.console):
        assert SITE.digest.encode() in page.body


def test_a_file_of_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"picture\.bmp"):
        Asset.of("picture.bmp", b"", "no-store")
