"""Who races: each contender, how it is started, what it keeps its books in, and what it needs on the machine."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
ROOT_KEY = "root-key-for-the-race"
SECRET = "a-secret-for-the-race-of-more-than-32-bytes"

Store = Literal["none", "redis", "postgres", "ours"]
Need = Literal["go", "node", "postgres", "fastapi", "asyncpg"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server in the race."""

    key: str
    """Its name on the command line."""
    title: str
    command: tuple[str, ...]
    """`{port}` and `{built}` are filled in."""
    store: Store
    needs: tuple[Need, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    checks: str = "stock"
    """What it does for a reservation beside answering."""
    most_stock: int = 10_000_000
    """So much can be prepared for it in reasonable time."""
    wrong: bool = False
    """It is known to oversell; the race shows by how much."""


def _peer(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"bench.peers.{module}", "{port}")


_SERVE = (sys.executable, "-m", "flashsale", "serve", "--port", "{port}")
_EVERYTHING = "stock, token, limit, idempotency, journal, expiry"
OURS, OWN_LANE, ONE_EACH, GIN = "flashsale", "flashsale-aiohttp", "aiohttp-evalsha", "gin"
BARE_PROTOCOL, BARE_AIOHTTP = "bare-protocol", "bare-aiohttp"

FIELD: tuple[Contender, ...] = (
    Contender(OURS, "flashsale", _SERVE, "ours", checks=_EVERYTHING),
    Contender(
        OWN_LANE, "flashsale, fast lane off", _SERVE, "ours", checks=_EVERYTHING,
        environment={"FLASHSALE_FAST_LANE": "0"},
    ),
    Contender(GIN, "Go: gin + redigo", ("{built}/gin", "{port}"), "redis", ("go",), {"GOMAXPROCS": "1"}),
    Contender(
        "fastify", "Node: fastify + ioredis, auto-pipelining", ("node", "{built}/fastify/server.js", "{port}"), "redis",
        ("node",),
    ),
    Contender(ONE_EACH, "aiohttp + one EVALSHA per request", _peer("aiohttp_evalsha"), "redis"),
    Contender("fastapi", "FastAPI + redis-py", _peer("fastapi_redis"), "redis", ("fastapi",)),
    Contender("get-decr", "GET, then DECR", _peer("get_decr"), "redis", wrong=True),
    Contender("redis-lock", "a Redis lock per sale", _peer("redis_lock"), "redis"),
    Contender("watch-multi", "WATCH / MULTI", _peer("watch_multi"), "redis"),
    Contender(
        "postgres-update", "PostgreSQL: UPDATE ... WHERE units_left >= n", _peer("postgres_update"), "postgres",
        ("postgres", "asyncpg"),
    ),
    Contender(
        "postgres-skip-locked", "PostgreSQL: a row per unit, SKIP LOCKED", _peer("postgres_skip_locked"), "postgres",
        ("postgres", "asyncpg"), most_stock=100_000,
    ),
    Contender(
        BARE_AIOHTTP, "(limit) bare aiohttp, no store",
        (sys.executable, "bench/apps/bare_aiohttp.py", "{port}"), "none", checks="nothing",
    ),
    Contender(BARE_PROTOCOL, "(limit) bare asyncio protocol, no store", _peer("bare_protocol"), "none", checks="nothing"),
)  # fmt: skip


def by_key(key: str) -> Contender:
    """Raises KeyError with the known keys when there is no such contender."""
    for each in FIELD:
        if each.key == key:
            return each
    raise KeyError(f"{key} is no contender; there are {', '.join(each.key for each in FIELD)}")
