"""Numbers as people read them."""

from datetime import UTC, datetime
from math import isnan


def number(value: float | None) -> str:
    """Such as `12,345` or `0.25`; a dash for none."""
    if value is None or isnan(value):
        return "-"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.3g}"


def count(value: float, one: str, many: str = "") -> str:
    """Such as `1 unit` or `350 units`."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def none_or(value: int) -> str:
    """Such as `none` or `12`."""
    return number(value) if value else "none"


def duration(ms: float | None) -> str:
    """Such as `7.5 ms`, `184 ms`, `14.2 s` or `61 min`; `never` for none."""
    if ms is None:
        return "never"
    if abs(ms) < 10 and ms != int(ms):
        return f"{ms:.1f} ms"
    if abs(ms) < 1_000:
        return f"{ms:.0f} ms"
    if abs(ms) < 10_000:
        return f"{ms / 1_000:.2f} s"
    return f"{ms / 1_000:,.1f} s" if abs(ms) < 600_000 else f"{ms / 60_000:,.1f} min"


def percent(share: float) -> str:
    """Such as `12.9 %`; the small ones are not rounded to nothing."""
    if not share:
        return "0 %"
    if abs(share) < 0.001:
        return f"{share * 100:.2g} %"
    return f"{share * 100:.1f} %" if share < 0.9995 or share >= 1 else "99.9 %"


def instant(at_ms: int) -> str:
    """Such as `2026-11-22 10:00:00.123 UTC`."""
    return (
        datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{at_ms % 1_000:03} UTC"
    )
