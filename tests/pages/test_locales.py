"""Every text of both pages is there in every language, with the same gaps to fill, and none is there in vain."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from flashsale.api.openapi.catalogue import OPERATIONS
from flashsale.api.openapi.problems import BY_CODE
from tests.support.browser import Chromium
from tests.support.page_files import PAGES, Tags, code, languages, names, text

LANGUAGES = languages()
SECTIONS = (*PAGES, "problems")
OTHERS = sorted(set(LANGUAGES) - {"en"})
OF_A_SHOPPER = {
    "getSale", "watchSale", "reserve", "listMyReservations", "getReservation", "getReservationCode", "cancelReservation",
    "startPayment", "createGuest",
}  # fmt: skip
CATEGORIES = """(codes) => Object.fromEntries(codes.map(
  (code) => [code, new Intl.PluralRules(code).resolvedOptions().pluralCategories]))"""


def gaps(value: Any) -> set[str]:
    """The names in braces of a text, of all its forms together."""
    forms = value.values() if isinstance(value, dict) else [value]
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def forms(value: Any) -> list[str]:
    return list(value.values()) if isinstance(value, dict) else [value]


def scripts(page: str) -> Iterator[str]:
    """What refers to texts of a page: its own scripts, the common ones, and its HTML."""
    for name in names(".js"):
        if name.startswith((f"{page}/", "common/")):
            yield code(name)
    yield text(f"{page}.html")


def asked_for(page: str) -> tuple[set[str], list[re.Pattern[str]]]:
    """The keys that are asked for by name, and patterns of those that are put together."""
    exact: set[str] = set()
    patterns = []
    for content in scripts(page):
        exact |= set(re.findall(r"""(?<![\w$])(?:t|has)\(\s*["']([\w.-]+)["']""", content))
        exact |= set(re.findall(r"""\bdata-t(?:ext)?=["']([\w.-]+)["']""", content))
        for made in re.findall(r"""(?<![\w$])(?:t|has)\(\s*`([^`]*)`""", content):
            parts = re.split(r"\$\{[^}]*\}", made)
            patterns.append(re.compile("[\\w.-]+".join(map(re.escape, parts))))
    return exact, patterns


def test_there_are_the_languages_that_were_promised() -> None:
    assert {"en", "de", "zh"} <= set(LANGUAGES)
    for language in LANGUAGES.values():
        assert set(language) == {"name", *SECTIONS}
        assert language["name"].strip()
    assert len({language["name"] for language in LANGUAGES.values()}) == len(LANGUAGES)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("language", OTHERS)
def test_no_text_is_missing_and_none_is_left_over(language: str, section: str) -> None:
    theirs, ours = LANGUAGES[language][section], LANGUAGES["en"][section]
    assert ours
    assert {"missing": set(ours) - set(theirs), "left over": set(theirs) - set(ours)} == {
        "missing": set(),
        "left over": set(),
    }


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("language", OTHERS)
def test_the_same_gaps_are_filled(language: str, section: str) -> None:
    ours = LANGUAGES["en"][section]
    wrong = {
        key: (gaps(value), gaps(ours[key]))
        for key, value in LANGUAGES[language][section].items()
        if key in ours and gaps(value) != gaps(ours[key])
    }
    assert wrong == {}


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_text_is_empty_or_markup(language: str) -> None:
    for section in SECTIONS:
        for key, value in LANGUAGES[language][section].items():
            for form in forms(value):
                assert isinstance(form, str), (section, key)
                assert form.strip() == form, (section, key)
                assert form, (section, key)
                assert not re.search(r"</?[a-z]|&[a-z]+;|&#", form), (section, key, form)
                assert form.count("{") == form.count("}") == len(re.findall(r"\{\w+\}", form)), (section, key)


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_in_english(language: str) -> None:
    left = [
        key
        for section in SECTIONS
        for key, value in LANGUAGES[language][section].items()
        if len(re.findall(r"[a-z]{2,}", str(value))) >= 3 and value == LANGUAGES["en"][section].get(key)
    ]
    assert left == []


@pytest.mark.asyncio(loop_scope="session")
async def test_each_number_has_its_form(chromium: Chromium) -> None:
    """In the forms that the language has, by the browser's own rules."""
    async with chromium.device() as device:
        page = await device.context.new_page()
        categories = await page.evaluate(CATEGORIES, sorted(LANGUAGES))
    for code_, language in LANGUAGES.items():
        for section in SECTIONS:
            for key, value in language[section].items():
                if isinstance(value, dict):
                    assert set(value) == set(categories[code_]), (code_, section, key)


@pytest.mark.parametrize("page", PAGES)
def test_every_text_that_is_asked_for_exists(page: str) -> None:
    exact, patterns = asked_for(page)
    assert len(exact) > 20
    texts = set(LANGUAGES["en"][page])
    # A common script may ask for a text of the other page, which that page then has.
    elsewhere = {key for other in PAGES for key in LANGUAGES["en"][other]}
    common = {
        key
        for name in names(".js")
        if name.startswith("common/")
        for key in re.findall(r"""(?<![\w$])(?:t|has)\(\s*["']([\w.-]+)["']""", code(name))
    }
    assert exact - common - texts == set()
    assert common - elsewhere == set()
    assert [each.pattern for each in patterns if not any(each.fullmatch(key) for key in elsewhere)] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_looks_like_a_text_is_one(page: str) -> None:
    """Also where a key is handed on in a variable, or lies in a table."""
    texts = LANGUAGES["en"][page]
    groups = {key.partition(".")[0] for key in texts if "." in key}
    written = {
        word
        for name in names(".js")
        if name.startswith(f"{page}/")
        for word in re.findall(r"""["'`]([a-z]\w*(?:\.\w+)+)["'`]""", code(name))
    }
    assert {word for word in written if word.partition(".")[0] in groups} - set(texts) == set()


@pytest.mark.parametrize("page", PAGES)
def test_no_text_is_there_in_vain(page: str) -> None:
    exact, patterns = asked_for(page)
    written = {word for content in scripts(page) for word in re.findall(r"""["'`]([\w.-]+)["'`]""", content)}
    unused = [
        key
        for key in LANGUAGES["en"][page]
        if key not in exact | written and not any(each.fullmatch(key) for each in patterns)
    ]
    assert unused == []


@pytest.mark.parametrize("page", PAGES)
def test_the_html_itself_says_nothing(page: str) -> None:
    """What it said would be there in one language only; but for those without scripts."""
    tags = Tags(text(f"{page}.html"))
    assert tags.shown == []
    for tag, attributes in tags.elements:
        assert not {"title", "aria-label", "placeholder", "alt"} & {
            name for name, value in attributes.items() if value
        }, tag


def test_problems_are_those_of_the_api_and_a_shopper_is_told_of_each() -> None:
    told = set(LANGUAGES["en"]["problems"])
    assert told <= set(BY_CODE)
    operations = {operation.name: operation for operation in OPERATIONS}
    met = {code for name in OF_A_SHOPPER & set(operations) for code in operations[name].problems}
    assert met - told == set()
