"""Builds of the server with a fault: the package and its scripts copied to a folder, with one place of one script changed.

Everything else is as shipped, so the fault is the only thing that a load test can find.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.process.programs import ROOT
from tests.support_http.server import Server

_ONCE: Final = "redis.call('HSETNX', SALE, 'fault', '1') == 1"
"""In a script: true the first time for a sale, never again."""


@dataclass(frozen=True)
class Fault:
    """What is written instead of `text`, which is there exactly once, in a file of lua/."""

    name: str
    script: str
    text: str
    instead: str


OVERSELLS: Final = Fault(
    "oversells",
    "reserve.lua",
    "if item and left > 0 then",
    f"if item and (left > 0 or left == 0 and {_ONCE}) then",
)
"""With nothing left, one more is granted: -1 are available."""

OVERSELLS_UNCOUNTED: Final = Fault(
    "oversells-uncounted",
    "reserve.lua",
    "item.available = left - 1\n",
    f"item.available = left - ({_ONCE} and 0 or 1)\n",
)
"""The first hold takes no unit from those that are available: the counters of the item are never negative."""

STRANDS: Final = Fault(
    "strands",
    "includes/release.lua",
    "item.available = item.available + body[i + 1]",
    f"item.available = item.available + ({_ONCE} and 0 or body[i + 1])",
)
"""The unit of the first hold that ends, by itself or cancelled, is nowhere."""

STRANDS_HELD: Final = Fault(
    "strands-held",
    "includes/release.lua",
    "    for i = 1, n do\n      if bodies[i] then",
    f"    for i = 1, n do\n      if bodies[i] and not ({_ONCE}) then",
)
"""The first hold whose time is over stays a hold for ever. Its unit is counted as held, so the counters add up."""

STRANDS_CANCELLED: Final = Fault(
    "strands-cancelled",
    "cancel.lua",
    "local payment_of, keep_payment, _, _, abandon = paying()",
    f"if {_ONCE} then for _, item in pairs(changed) do item.available = item.available - 1 end end\n"
    "  local payment_of, keep_payment, _, _, abandon = paying()",
)
"""The unit of the first hold that is cancelled is nowhere."""

LETS_HAVE_TWO: Final = Fault(
    "lets-have-two",
    "includes/claiming.lua",
    "return limit > 0 and units + units_of(customer) > limit and",
    "return limit > 0 and units + units_of(customer) > limit + 1 and",
)
"""Everybody may have one unit more than the sale allows."""

SKIPS_A_NUMBER: Final = Fault(
    "skips-a-number",
    "confirm.lua",
    "    order_fact('reservation.confirmed', id, '\\0' .. sub(mark, 2, 2) .. charge)",
    "    orders = orders + (orders == 2 and 1 or 0)\n"
    "    order_fact('reservation.confirmed', id, '\\0' .. sub(mark, 2, 2) .. charge)",
)
"""The third order has number 4."""

SKIPS_A_FACT: Final = Fault(
    "skips-a-fact",
    "reserve.lua",
    "\nsave()\n",
    "\nif place_before < 4 and place >= 4 then\n  seq_before, seq = seq_before + 1, seq + 1\nend\nsave()\n",
)
"""One fact of the journal is missing: that before the batch with the fourth hold."""

LOSES_A_CHARGE: Final = Fault(
    "loses-a-charge",
    "confirm.lua",
    "\n  if line then\n",
    "\n  if redis.call('HSETNX', SALE, 'fault', id) == 1 or redis.call('HGET', SALE, 'fault') == id then\n"
    "    result = CONFIRMED_IN_TIME\n  elseif line then\n",
)
"""The charge of the first who pays becomes neither an order nor a refund, however often the provider tells of it."""

FAULTS: Final = (
    OVERSELLS,
    OVERSELLS_UNCOUNTED,
    STRANDS,
    STRANDS_HELD,
    STRANDS_CANCELLED,
    LETS_HAVE_TWO,
    SKIPS_A_NUMBER,
    SKIPS_A_FACT,
    LOSES_A_CHARGE,
)


def build(folder: Path, fault: Fault | None = None) -> Path:
    """A folder that the server can run from; with a fault unless it is None.

    Raises:
        ValueError: the text to change is not there exactly once: the script has changed since.
    """
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("flashsale", "lua", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    if fault is not None:
        script = folder / "lua" / fault.script
        source = script.read_text(encoding="utf-8")
        found = source.count(fault.text)
        if found != 1:
            raise ValueError(f"{fault.script} has {found} places to change for {fault.name}, not one")
        script.write_text(source.replace(fault.text, fault.instead), encoding="utf-8")
    return folder


def serve(folder: Path, fault: Fault | None = None, env: Mapping[str, str] | None = None) -> Server:
    """A server that runs from a build in this folder, with a store and a payment simulator of its own."""
    built = build(folder / "build", fault)
    arguments = ["--embedded", "--data-dir", str(folder / "data")]
    return Server(folder / "serve", arguments, env={"PYTHONPATH": str(built), **(env or {})})
