"""Puts measured tables between their markers in a document: what stands there is replaced, the rest is left alone.

The markers are the comments `<!-- race:NAME -->` and `<!-- /race:NAME -->`.
"""

import shutil
from pathlib import Path

from bench.race.field import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "pictures"


class MarkerError(Exception):
    """A document has no place for a table."""


def replaced(text: str, name: str, table: str) -> str:
    """The text with the table between the markers of this name. Raises MarkerError when they are not there once each."""
    opening, closing = f"<!-- race:{name} -->", f"<!-- /race:{name} -->"
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not found or not ended or opening in rest or closing in after:
        raise MarkerError(f"there must be one {opening} and one {closing} behind it")
    return f"{before}{opening}\n\n{table.strip()}\n\n{closing}{after}"


def publish_table(name: str, table: str, document: Path = DOCUMENT) -> None:
    """Writes the document anew with this table."""
    document.write_text(replaced(document.read_text(encoding="utf-8"), name, table), encoding="utf-8")


def publish_picture(picture: Path, folder: Path = PICTURES) -> Path:
    """Copies an SVG to where the documents show it."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(picture, folder / picture.name))
