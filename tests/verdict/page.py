"""Reads a page as a browser would, as far as the tests of reports need it."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

VOID = {"meta", "br", "link", "img", "hr", "input", "rect", "path", "use"}


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.cells: list[tuple[str, str]] = []
        """Tag and text of everything that stands in a `dt`, `dd`, `th`, `td`, `li`, `h1` or `p`."""
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"dt", "dd", "th", "td", "li", "h1", "p"}:
            self.cells.append((tag, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> where something else is open"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            return
        self.texts.append(data)
        if self.cells and {"dt", "dd", "th", "td", "li", "h1", "p"} & set(self.open):
            tag, text = self.cells[-1]
            self.cells[-1] = (tag, text + data)

    @property
    def text(self) -> str:
        """All of it, in one line."""
        return " ".join("".join(self.texts).split())

    def named(self) -> dict[str, str]:
        """What stands in each `dd`, by its `dt`."""
        cells = [(tag, " ".join(text.split())) for tag, text in self.cells]
        return {
            name: value
            for (first, name), (second, value) in pairwise(cells)
            if (first, second) == ("dt", "dd")
        }

    def pictures(self) -> list[ET.Element]:
        """Its pictures, each of which must be well-formed by itself."""
        return [ET.fromstring(svg) for svg in re.findall(r"<svg role=.*?</svg>", self.source, re.DOTALL)]


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))
