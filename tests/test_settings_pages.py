"""Settings of the pages: addresses that a page may be told, and a brand's style sheet that is there."""

from pathlib import Path

import pytest

from flashsale.settings import Settings, SettingsError, load_settings

SERVE = {
    "FLASHSALE_REDIS_URL": "redis://127.0.0.1:6379/0",
    "FLASHSALE_ROOT_KEY": "root-key-for-the-tests",
    "FLASHSALE_SHOPPER_SECRET": "shopper-secret-for-the-tests-0123456789",
}


def settings(**values: str) -> Settings:
    return load_settings({f"FLASHSALE_{name.upper()}": value for name, value in values.items()})


def fault(**values: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    (found,) = caught.value.faults
    return str(found)


def test_the_defaults() -> None:
    default = settings()
    assert default.pages
    assert not default.stripe_elements
    assert (default.pages_brand, default.pages_poll_seconds, default.embedding_origins) == ("", 5, ())
    assert default.pages_api_url is default.pages_token_url is default.pages_login_url is None
    assert default.pages_brand_css is None


@pytest.mark.parametrize(
    "url", ["/token", "/login/token?x=1", "https://login.example.com/token/", "http://127.0.0.1:8090/"]
)
def test_where_the_login_is(url: str) -> None:
    found = settings(pages_token_url=url, pages_login_url=url)
    assert (found.pages_token_url, found.pages_login_url) == (url, url)


@pytest.mark.parametrize(
    "url",
    [
        "//elsewhere.example/token", "javascript:alert(1)", "token", "ftp://x", "https://", "/to ken", "/x;y", "/x'y",
        "https://x.example/;script-src *", "https://x.example/,https://y.example", "/ü", '/"', "/<b>", "/\\x",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_login(url: str) -> None:
    """Nor can any of them write into the policy of the pages."""
    assert fault(pages_token_url=url).startswith("FLASHSALE_PAGES_TOKEN_URL (--pages-token-url) ")
    assert fault(pages_login_url=url).startswith("FLASHSALE_PAGES_LOGIN_URL (--pages-login-url) ")


@pytest.mark.parametrize(
    "url",
    ["/api", "https://api.example.com/v1", "https://u:p@api.example.com", "https://api.example.com?x", "api.example.com", "https://x;y"],
)  # fmt: skip
def test_what_is_no_origin(url: str) -> None:
    assert fault(pages_api_url=url).startswith("FLASHSALE_PAGES_API_URL (--pages-api-url) must ")
    assert fault(pages_embed_origins=f"https://ok.example,{url}").startswith("FLASHSALE_PAGES_EMBED_ORIGINS ")


def test_origins() -> None:
    assert settings(pages_api_url="https://api.example.com/").pages_api_url == "https://api.example.com"
    found = settings(pages_embed_origins=" https://a.example , http://b.example:81/,")
    assert found.embedding_origins == ("https://a.example", "http://b.example:81")


def test_the_style_sheet_must_be_there(tmp_path: Path) -> None:
    css = tmp_path / "brand.css"
    assert "No such file" in fault(pages_brand_css=str(css))
    css.write_bytes(b"\xff")
    assert "not UTF-8" in fault(pages_brand_css=str(css))
    css.write_text("body {}")
    assert settings(pages_brand_css=str(css)).pages_brand_css == css
    assert "directory" in fault(pages_brand_css=str(tmp_path))


def test_stripes_form_needs_the_key_that_the_page_begins_with() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({**SERVE, "FLASHSALE_STRIPE_ELEMENTS": "1"}, purpose="serve")
    assert "FLASHSALE_STRIPE_PUBLISHABLE_KEY" in str(caught.value)
    key = {"FLASHSALE_STRIPE_PUBLISHABLE_KEY": "pk_test_x"}
    assert load_settings({**SERVE, "FLASHSALE_STRIPE_ELEMENTS": "1", **key}, purpose="serve").stripe_elements
    assert not load_settings({**SERVE, "FLASHSALE_STRIPE_ELEMENTS": "0"}, purpose="serve").stripe_elements


def test_pages_are_written_without_the_secrets_of_a_server() -> None:
    assert load_settings({"FLASHSALE_GUESTS": "1"}, purpose="pages").guests


def test_what_the_children_of_a_server_are_told_is_the_same(tmp_path: Path) -> None:
    css = tmp_path / "brand.css"
    css.write_text("body {}")
    told = settings(
        pages="0", pages_brand="Milano", pages_brand_css=str(css), pages_embed_origins="https://a.example", pages_api_url="https://b.example"
    )  # fmt: skip
    assert load_settings(told.to_env()) == told
