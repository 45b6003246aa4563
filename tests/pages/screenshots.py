"""Pictures of every state of the shop's page and every view of the console: `make screenshots`.

python -m tests.pages.screenshots DIR [NAME ...]

Names are `shop-held-390.png`: the page, the state, the width; and `-dark`, `-de` or `-zh` behind them. With NAMEs, such as
`held` or `sale`, only these are taken.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from tests.support.browser import DESK, PHONE, Chromium, Tab, settled
from tests.support.console_views import VIEWS, reach_view
from tests.support.page_login import login_page
from tests.support.page_states import STATES, Scene, reach
from tests.support.stage import PagesHouse, Stage

LANGUAGES: Final = ("de", "zh")
IN_EVERY_LANGUAGE: Final = frozenset(
    {"scheduled", "open", "held", "sold_out", "confirmed", "sale", "new", "story"}
)
SHOTS: Final[tuple[tuple[tuple[int, int], Literal["light", "dark"]], ...]] = (
    (PHONE, "light"),
    (PHONE, "dark"),
    (DESK, "light"),
)
Reach = Callable[[str, Scene], Awaitable[Tab]]


class Photographer:
    """Takes pictures of a shop that was made for them."""

    def __init__(self, folder: Path, house: PagesHouse, members_url: str, chromium: Chromium) -> None:
        self._folder = folder
        self._house = house
        self._members_url = members_url
        self._chromium = chromium

    async def take(self, page: str, name: str, how: Reach, language: str = "en") -> None:
        """All pictures of one state in one language: narrow, dark and wide, each of the whole page."""
        end = "" if language == "en" else f"-{language}"
        async with (
            Stage(self._house) as stage,
            self._chromium.device(language=language, cookies=True, device_scale_factor=2) as device,
        ):
            tab = await how(name, Scene(stage, device, self._members_url))
            for (width, height), scheme in SHOTS:
                if end and scheme == "dark":
                    continue
                await tab.page.set_viewport_size({"width": width, "height": height})
                await tab.page.emulate_media(color_scheme=scheme)
                await settled(tab)
                await whole(tab, width)
                dark = "-dark" if scheme == "dark" else ""
                path = self._folder / f"{page}-{name}-{width}{dark}{end}.png"
                await tab.page.screenshot(path=path)


async def whole(tab: Tab, width: int) -> None:
    """Makes the screen as high as the page: what sticks to its lower edge is where it belongs then."""
    high = await tab.page.evaluate("() => document.documentElement.scrollHeight")
    await tab.page.set_viewport_size({"width": width, "height": min(high, 6000)})
    await settled(tab)


async def take_all(folder: Path, wanted: set[str]) -> list[str]:
    """Takes the pictures; what could not be taken, and why."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="flashsale-screenshots-") as place:
        async with login_page() as login, Chromium.started() as chromium:
            with PagesHouse(Path(place)) as house:
                members = house.beside(login.env)
                photographer = Photographer(folder, house, members.url, chromium)
                try:
                    for page, name, language, how in pictures(wanted):
                        what = f"{page} {name} {language}"
                        try:
                            await photographer.take(page, name, how, language)
                        except Exception as error:  # noqa: BLE001  # the others are wanted all the same
                            failed.append(f"{what}: {error}")
                        else:
                            say(what)
                finally:
                    members.stop()
    return failed


def pictures(wanted: set[str]) -> Iterator[tuple[str, str, str, Reach]]:
    """Page, state, language, and how to get there."""
    for page, names, how in (("shop", STATES, reach), ("console", VIEWS, reach_view)):
        for name in names:
            if not wanted or name in wanted:
                for language in ("en", *(LANGUAGES if name in IN_EVERY_LANGUAGE else ())):
                    yield page, name, language, how


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pages.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go; it is made if it is missing")
    parser.add_argument("names", nargs="*", help="states and views; all of them when left out")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    failed = asyncio.run(take_all(asked.folder, set(asked.names)))
    for each in failed:
        say(f"NOT TAKEN: {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
