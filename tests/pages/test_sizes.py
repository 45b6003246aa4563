"""How much a phone loads before it shows a sale: counted as it is sent, packed, the largest language included."""

from flashsale.pages.assets import CHART, Asset, Site
from flashsale.settings import load_settings
from tests.support.page_files import languages, loaded, names

MAX_SHOP_BYTES = 60_000
MAX_CONSOLE_BYTES = 80_000
"""Without the charting library, which is as large as its makers have made it."""

SITE = Site.load(load_settings({"FLASHSALE_PAGES_BRAND": "Milano Motors"}))


def sent(asset: Asset) -> int:
    """Bytes of the body as a browser gets it."""
    return len(asset.packed if asset.packed is not None else asset.body)


def size(page: str, first: Asset) -> int:
    files = sum(sent(SITE.files[name]) for name in loaded(page) if name != CHART)
    language = max(sent(SITE.files[f"locales/{code}.json"]) for code in languages())
    return sent(first) + files + language + sum(map(sent, SITE.loose.values()))


def test_the_shop_page_is_small() -> None:
    assert "shop/main.js" in loaded("shop")
    assert not [name for name in loaded("shop") if name.startswith(("console/", "vendor/"))]
    assert size("shop", SITE.shop) <= MAX_SHOP_BYTES


def test_the_console_is_small() -> None:
    assert "console/main.js" in loaded("console")
    assert not [name for name in loaded("console") if name.startswith("shop/")]
    assert size("console", SITE.console) <= MAX_CONSOLE_BYTES


def test_what_is_packed_is_shorter() -> None:
    for name in names(".js", ".css", ".json"):
        asset = SITE.files[name]
        assert asset.packed is not None or len(asset.body) < 200, name
        assert sent(asset) <= len(asset.body)
