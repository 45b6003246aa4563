"""FLASHSALE_CORS_ORIGINS: which origins may call, in the form in which browsers name them."""

import pytest

from flashsale.settings import SettingsError, load_settings

NAME = "FLASHSALE_CORS_ORIGINS"


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://shop.example", ("https://shop.example",)),
        ("https://Shop.Example:443/", ("https://shop.example",)),
        ("http://127.0.0.1:80", ("http://127.0.0.1",)),
        ("https://shop.example:80", ("https://shop.example:80",)),
        ("http://[::1]:8080", ("http://[::1]:8080",)),
        (
            " https://a.example , http://b.example:1,https://a.example,",
            ("https://a.example", "http://b.example:1"),
        ),
    ],
)
def test_origins_are_kept_as_browsers_send_them(given: str, origins: tuple[str, ...]) -> None:
    settings = load_settings({NAME: given})
    assert settings.calling_origins == origins
    assert load_settings(settings.to_env()).calling_origins == origins, "a worker is told the same"


@pytest.mark.parametrize(
    "given",
    ["null", "shop.example", "https://shop.example/path", "https://shop.example?a", "ftp://shop.example",
     "*,https://shop.example", "https://*.example;x", "https://user@shop.example", "https://shop.example\r\nX: y",
     "https://", "https://shop.example:port"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match=NAME):
        load_settings({NAME: given})
