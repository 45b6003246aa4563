"""What axe finds on a page, by the rules of WCAG 2.2 AA and the best practices of its makers."""

import json
from typing import Any, Final

from axe_playwright_python.async_playwright import Axe

from tests.support.browser import Tab, settled

RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS: Final[dict[str, Any]] = {"runOnly": {"type": "tag", "values": RULES}}


async def violations(tab: Tab) -> list[str]:
    """What axe finds, light and dark."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        await tab.page.emulate_media(color_scheme=scheme)
        await settled(tab)
        results = (await Axe().run(tab.page, options=OPTIONS)).response["violations"]
        for each in results:
            places = [f"{node['target']}: {node['failureSummary']}" for node in each["nodes"]]
            found.append(f"{scheme}: {each['id']} ({each['impact']}): " + json.dumps(places, indent=1))
    return found
