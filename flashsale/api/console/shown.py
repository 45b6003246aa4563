"""What the console is answered, as plain values ready for JSON."""

from typing import Any
from urllib.parse import urlsplit

import orjson

from flashsale.engine.activity import Activity
from flashsale.engine.curve import Told
from flashsale.engine.sales import SaleView
from flashsale.model.course import AVAILABLE, HELD, OF_ONE, SOLD, Point
from flashsale.model.instants import to_rfc3339
from flashsale.store.pulse import Standing


def definition(view: SaleView) -> dict[str, Any]:
    """What was sent to define the sale, with the defaults filled in. The public view adds restocks to its stock."""
    whole = orjson.loads(view.offer.definition.canonical())
    return {
        "sale": view.offer.sale,
        "editable": not view.state.opened,
        "definition": {"rehearsal": False, **whole},
    }


def activity(found: Activity) -> dict[str, Any]:
    """One look at what goes on around a sale."""
    pulse, totals = found.pulse, found.totals
    return {
        "sale": found.sale,
        "server_time": to_rfc3339(pulse.now_ms),
        "reserve": totals.reserve,
        "waiting": totals.waiting,
        "workers": {"api": totals.workers},
        "payments": {
            "queued": max(0, pulse.jobs - pulse.under_way) + pulse.turns,
            "under_way": pulse.under_way,
            "retrying": pulse.retries,
            "dead": pulse.dead,
            "oldest_seconds": _seconds(pulse.now_ms, pulse.oldest_job_ms),
        },
        "sweeper": {
            "overdue": pulse.overdue,
            "overdue_seconds": _seconds(pulse.now_ms, pulse.overdue_since_ms),
        },
        "background": {
            "alive": found.alive,
            "seen_seconds": None if pulse.seen_ms is None else pulse.seen_ms / 1000,
        },
        "orders": {
            "sequence": pulse.orders,
            "published": pulse.published,
            "behind": max(0, pulse.orders - pulse.published),
        },
        "webhooks": [_webhook(each, found.behind(each)) for each in found.webhooks],
        "attempts_dropped": totals.attempts_dropped,
    }


def _webhook(standing: Standing, behind: int) -> dict[str, Any]:
    """How a webhook is doing in the sale. Of its address only the host is told: the rest may hold a secret."""
    hook, retry = standing.webhook, standing.retry
    parts = urlsplit(hook.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return {
        "id": standing.id,
        "url": f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}",
        "state": "on" if hook.is_on else "off",
        "reason": hook.reason,
        "tries": retry.tries if retry else 0,
        "error": retry.error if retry else None,
        "failing_since": to_rfc3339(retry.since_ms) if retry else None,
        "next_at": to_rfc3339(retry.next_ms) if retry and hook.is_on else None,
        "behind": behind,
    }


def _seconds(now_ms: int, since_ms: int) -> float | None:
    """How long ago that was; None when it was never."""
    return max(0, now_ms - since_ms) / 1000 if since_ms else None


def curve(told: Told, most: int) -> dict[str, Any]:
    """How the units of a sale moved."""
    course = told.course
    points = course.points(most)
    return {
        "sale": told.sale,
        "from": to_rfc3339(points[0].at_ms) if points else None,
        "to": to_rfc3339(points[-1].at_ms) if points else None,
        "facts": course.seq,
        "complete": told.complete,
        "exact": told.exact,
        "points": [_point(course.skus, point) for point in points],
    }


def _point(skus: list[str], point: Point) -> dict[str, Any]:
    counters = point.counters
    return {
        "at": to_rfc3339(point.at_ms),
        "items": {
            sku: {
                "available": counters[at + AVAILABLE],
                "held": counters[at + HELD],
                "sold": counters[at + SOLD],
            }
            for sku, at in zip(skus, range(0, len(counters), OF_ONE), strict=True)
        },
    }
