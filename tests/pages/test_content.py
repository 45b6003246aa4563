"""What the files of the pages may hold: nothing inline, nothing of other hosts, nothing that makes markup of data."""

import re

import pytest

from flashsale.pages.assets import CHART
from tests.support.page_files import PAGES, STATIC, Tags, code, imports, loaded, names, text

ALLOWED_HOSTS = {"www.w3.org", "js.stripe.com"}
"""The first is the name of SVG, which nobody loads; the second is Stripe's, behind a setting."""
MAX_LINES = 400
MARKUP = (
    r"\.(?:inner|outer)HTML\b",
    r"\binsertAdjacentHTML\b",
    r"\bdocument\.write",
    r"\bcreateContextualFragment\b",
    r"\bsetHTML",
    r"\bDOMParser\b",
    r"\bsrcdoc\b",
)
"""What makes elements of a text, which might be somebody else's."""
INLINE = (
    r"\beval\(",
    r"\bnew Function\b",
    r"javascript:",
    r"""setAttribute\(\s*["'](?:style|on\w+)["']""",
    r"""["']?style["']?\s*:\s*["'`][^"'`]*:""",
    r"\bset(?:Timeout|Interval)\(\s*[\"'`]",
)
"""What the policy of the pages would stop."""
SECRETS = (r"\bdocument\.cookie\b", r"\b(?:local|session)Storage\b", r"\bindexedDB\b", r"\bcaches\.open\b")
"""Where a page could keep a key."""


@pytest.mark.parametrize("name", names(".html", ".js", ".css", ".svg", ".json"))
def test_nothing_refers_to_another_host(name: str) -> None:
    content = text(name)
    hosts = set(re.findall(r"\b(?:https?|wss?)://([^\s/\"'`<>)$]+)", content))
    hosts |= set(re.findall(r"""["'(=]//([a-z0-9][a-z0-9.-]*\.[a-z]{2,})""", content))
    assert hosts <= ALLOWED_HOSTS


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_nothing_inline_and_loads_what_there_is(page: str) -> None:
    tags = Tags(text(f"{page}.html"))
    assert tags.inline == []
    for tag, attributes in tags.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (
            tag,
            attributes,
        )
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        if tag == "script":
            assert attributes.get("src")
    for link in tags.links():
        if link.startswith("/pages/{{digest}}/"):
            assert (STATIC / link.removeprefix("/pages/{{digest}}/")).is_file() or link.endswith(CHART)
        else:
            assert link == "/pages/brand.css" or link.startswith("#"), link


@pytest.mark.parametrize("page", PAGES)
def test_a_page_lets_the_brand_have_the_last_word(page: str) -> None:
    styles = [link for link in Tags(text(f"{page}.html")).links() if link.endswith(".css")]
    assert styles[-1] == "/pages/brand.css"


@pytest.mark.parametrize("name", names(".js"))
def test_a_script_makes_no_markup_of_data_and_nothing_inline(name: str) -> None:
    content = code(name)
    assert [pattern for pattern in (*MARKUP, *INLINE) if re.search(pattern, content)] == []


@pytest.mark.parametrize("name", [name for name in names(".js") if name.startswith("console/")])
def test_the_console_keeps_its_key_nowhere(name: str) -> None:
    assert [pattern for pattern in SECRETS if re.search(pattern, code(name))] == []


def test_no_cookie_is_set_or_read() -> None:
    assert [name for name in names(".js") if re.search(r"\bdocument\.cookie\b", code(name))] == []


@pytest.mark.parametrize("name", names(".css"))
def test_a_style_sheet_loads_nothing(name: str) -> None:
    content = re.sub(r"/\*.*?\*/", "", text(name), flags=re.DOTALL)
    assert "@import" not in content
    assert not [
        url for url in re.findall(r"url\(\s*['\"]?([^'\")]+)", content) if not url.startswith("data:")
    ]


@pytest.mark.parametrize("name", names(".js"))
def test_every_module_that_is_imported_exists(name: str) -> None:
    assert [each for each in imports(name) if each not in names(".js")] == []


def test_no_file_lies_about() -> None:
    used = {name for page in PAGES for name in loaded(page)} | {f"{page}.html" for page in PAGES}
    assert [name for name in names() if name not in used and not name.startswith("locales/")] == []


@pytest.mark.parametrize("name", names(".html", ".js", ".css"))
def test_no_file_is_long(name: str) -> None:
    assert len(text(name).splitlines()) <= MAX_LINES
