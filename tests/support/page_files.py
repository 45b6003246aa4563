"""The static files of the pages as they lie in the repository, and which of them each page loads."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, Final

import orjson

from tests.packaging.checkout import PACKAGE

STATIC: Final = PACKAGE / "pages" / "static"
PAGES: Final = ("shop", "console")
_PREFIX: Final = "/pages/{{digest}}/"
_COMMENTS: Final = re.compile(r"/\*.*?\*/|(?<![:\"'`\\])//[^\n]*", re.DOTALL)
_IMPORTS: Final = re.compile(
    r"""\b(?:import|export)\b[\w\s{},*$]*?\bfrom\s*["']([^"'\n]+)["']|\bimport\s*\(?\s*["']([^"'\n]+)["']"""
)


def names(*suffixes: str) -> list[str]:
    """The files with one of these suffixes, by their path below the folder."""
    found = (path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
    return sorted(name for name in found if name.endswith(suffixes) and not name.startswith("."))


def text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def code(name: str) -> str:
    """A script without its comments."""
    return _COMMENTS.sub(" ", text(name))


def languages() -> dict[str, dict[str, Any]]:
    """What each file of a language holds, by its code."""
    return {
        Path(name).stem: orjson.loads((STATIC / name).read_bytes())
        for name in names(".json")
        if "locales/" in name
    }


class Tags(HTMLParser):
    """The elements of a page with their attributes, the text of scripts and styles, and the text that is shown."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.shown: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        here = self._open[-1] if self._open else ""
        if here in {"script", "style"}:
            self.inline.append(data)
        elif not {"noscript", "title", "head"} & set(self._open):
            self.shown.append(data.strip())

    def links(self) -> Iterator[str]:
        """Every address that the browser loads by itself or is led to."""
        for _, attributes in self.elements:
            for name in ("src", "href", "action", "srcset", "poster", "data"):
                if value := attributes.get(name):
                    yield value


def imports(name: str) -> set[str]:
    """The modules that a module imports, statically or when it needs them."""
    found = {one or other for one, other in _IMPORTS.findall(code(name))}
    return {normpath(join(dirname(name), each)) for each in found if each.startswith(".")}


def loaded(page: str) -> set[str]:
    """The files that a page may load from the folder, its languages apart."""
    left = {
        link.removeprefix(_PREFIX) for link in Tags(text(f"{page}.html")).links() if link.startswith(_PREFIX)
    }
    done: set[str] = set()
    while left:
        name = left.pop()
        done.add(name)
        if name.endswith(".js") and not name.startswith("vendor/"):
            left |= imports(name) - done
    return done
