"""One rehearsal from the twin's definition to its closing."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flashsale.client import ApiError, Client, UnreachableError
from flashsale.process.own_server import ServerSecrets, own_server
from flashsale.rehearsal.crowd import LOG_NAME, NOT_RUN, Crowd, CrowdError
from flashsale.rehearsal.twin import Twin, of_view, twin_of

DEFINITION_NAME = "definition.json"
PAYMENT_EVENTS = "/v1/payments/simulator/events"
"""What is sent there without a signature is refused, in another way where there is no simulator."""


@dataclass(frozen=True)
class Place:
    """A server to rehearse at."""

    url: str
    api_key: str = field(repr=False)
    shopper_secret: str | None = field(default=None, repr=False)
    """What shoppers' tokens are signed with; None: the server is asked for guests."""


@dataclass(frozen=True)
class Plan:
    """What is to be rehearsed."""

    sale: str
    definition: Mapping[str, object] | None
    """None: that of the sale at the server."""
    units: int | None
    hold_seconds: int | None
    shoppers: int
    spawn_rate: int
    processes: int
    out: Path
    options: Mapping[str, float | str]


@dataclass(frozen=True)
class Rehearsed:
    """What came of it."""

    twin: Twin
    code: int
    """Of the load test: 0 all kept, 1 something was not, 2 it could not be run."""
    report: Path
    trouble: str = ""
    """Why it could not be run."""


@asynccontextmanager
async def server_of_our_own(workers: int) -> AsyncIterator[Place]:
    """A server in a folder that goes with it, with its own Valkey, payment simulator and secrets.

    Raises:
        ServerError: it does not start.
    """
    keys = ServerSecrets()
    with tempfile.TemporaryDirectory(prefix="flashsale-rehearsal-") as folder:
        async with own_server(keys, Path(folder), workers, {}) as address:
            yield Place(address.shop, keys.root_key, keys.shopper_secret)


async def rehearse(plan: Plan, place: Place, say: Callable[[str], None]) -> Rehearsed:
    """Rehearses a sale; its twin is closed afterwards, however it went.

    Raises:
        TwinError, CrowdError: it cannot be rehearsed.
        ApiError, UnreachableError: the server does not do what is needed.
        OSError: the report cannot be written.
    """
    async with Client(place.url, place.api_key) as client:
        definition = plan.definition
        if definition is None:
            definition = of_view(await client.sale(plan.sale))
        twin = twin_of(
            plan.sale, definition, now=datetime.now(UTC), units=plan.units, hold_seconds=plan.hold_seconds
        )
        await _check(client, place, twin)
        crowd = _crowd(plan, place, twin)
        _say_what_comes(twin, crowd, say)
        try:
            code = await crowd.run(place.api_key, place.shopper_secret)
        finally:
            await asyncio.shield(_close(client, twin.sale))
    return Rehearsed(twin, code, plan.out, crowd.last_words() if code == NOT_RUN else "")


async def _check(client: Client, place: Place, twin: Twin) -> None:
    """Sees that shoppers will get tokens, and can pay: better said now than by every one of them.

    Raises:
        CrowdError: they will not.
    """
    if place.shopper_secret is None:
        try:
            await client.guest()
        except ApiError as error:
            raise CrowdError(
                f"shoppers get no tokens: set FLASHSALE_SHOPPER_SECRET to the server's, or let it have guests ({error})"
            ) from error
    if twin.definition.payment.methods:
        try:
            await client.request("POST", PAYMENT_EVENTS, {})
        except ApiError as error:
            if error.code == "unknown_provider":
                raise CrowdError(
                    f"{place.url} knows no payment simulator, through which rehearsals are paid: run one, and set "
                    "FLASHSALE_SIMULATOR_URL and FLASHSALE_SIMULATOR_SECRET for its `serve` and `work`"
                ) from error


def _crowd(plan: Plan, place: Place, twin: Twin) -> Crowd:
    """The crowd; the folder of the report is made, and has the definition."""
    out = plan.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for old in ("report.html", "report.md", "report.json", "evidence.json"):
        (out / old).unlink(missing_ok=True)  # or it would be taken for this one's
    twin.write(out / DEFINITION_NAME)
    return Crowd(
        url=place.url,
        sale=twin.sale,
        definition=out / DEFINITION_NAME,
        shoppers=plan.shoppers,
        spawn_rate=plan.spawn_rate,
        processes=plan.processes,
        report=out,
        options=plan.options,
    )


def _say_what_comes(twin: Twin, crowd: Crowd, say: Callable[[str], None]) -> None:
    definition = twin.definition
    say(
        f"Rehearsing {twin.original} as {twin.sale}: {crowd.shoppers:,} shoppers, {twin.units:,} pretend units, "
        f"holds of {definition.hold_seconds:,} s."
    )
    if not definition.payment.methods:
        say(
            "The definition names no payment methods, so nobody will be able to pay: every hold will run out."
        )
    arriving = -(-crowd.shoppers // crowd.spawn_rate)
    say(
        f"They arrive within about {arriving:,} s, then the sale opens. Locust's own words: {crowd.report / LOG_NAME}"
    )


async def _close(client: Client, sale: str) -> None:
    """Nobody buys from the twin any more. What is not there, or cannot be reached, needs no closing."""
    with suppress(ApiError, UnreachableError):
        await client.close(sale)
