"""Two servers that differ in one setting, told the same and asked the same."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.lane.oracle import ends_of_requests
from tests.lane.plain import get
from tests.lane.transcript import Names, Transcript, differences
from tests.lane.wire import LONG_PATIENCE_S, Conversation, talk
from tests.support_http.client import ROOT_KEY, Shop, definition, new_sale_id, token
from tests.support_http.server import Server

AT_ONCE: Final = 24
"""How many conversations are had at the same time."""
LANES: Final = {"ours": "1", "reference": "0"}
"""FLASHSALE_FAST_LANE of each server."""


@dataclass(frozen=True)
class Difference:
    """What differed in one conversation."""

    name: str
    what: list[str]
    sent: bytes

    def __str__(self) -> str:
        return "\n  ".join((f"{self.name}: {self.sent[:600]!r}", *self.what))


@dataclass
class Pair:
    """The server with the fast lane ("ours") and the one without ("reference"), by name."""

    servers: Mapping[str, Server]
    ports: Mapping[str, int]
    question: bytes = b""
    names: dict[str, Names] = field(default_factory=lambda: {name: Names() for name in LANES})

    @classmethod
    def of(cls, servers: Mapping[str, Server], ports: Mapping[str, int] | None = None) -> "Pair":
        """A pair ready to be asked; `ports` lead to the servers by another way."""
        pair = cls(servers, ports or {name: server.port for name, server in servers.items()})
        watched = asyncio.run(pair._first_sale())
        bearer = b"Authorization: Bearer " + token("watcher", exp=4_000_000_000).encode()
        pair.question = get(f"/v1/sales/{watched}/reservations/mine", bearer)
        return pair

    async def _first_sale(self) -> str:
        return await self.sale()

    async def put(self, method: str, path: str, body: Any = None) -> None:
        """Asks the same of both as the operator of the shop; both must do it."""
        for server in self.servers.values():
            async with Shop(server.url) as shop:
                (await shop.ask(method, path, bearer=ROOT_KEY, json=body)).must(200, 201)

    async def sale(self, stock: int = 100_000, **changes: Any) -> str:
        """The id of a new sale that both have, with the same definition."""
        sale = new_sale_id()
        await self.put("PUT", f"/v1/sales/{sale}", definition(stock, limit_per_customer=None, **changes))
        return sale

    @asynccontextmanager
    async def sold(self, stock: int = 100_000, **changes: Any) -> AsyncIterator[str]:
        """A new sale, in which the same must have happened on both servers by the end: no more and no less on one."""
        sale = await self.sale(stock, **changes)
        yield sale
        seen = await self.counters(sale)
        ours, reference = seen["ours"], seen["reference"]
        assert ours == reference, f"not the same has happened: {ours}, not {reference}"

    async def counters(self, sale: str) -> dict[str, Any]:
        """What each server counts in a sale, which must pass the audit."""
        seen = {}
        for name, server in self.servers.items():
            async with Shop(server.url) as shop:
                counters = await shop.counters(sale)
                counters.pop("next_release_at")
                await shop.audit(sale)
            seen[name] = counters
        return seen

    async def transcripts(self, conversation: Conversation) -> dict[str, Transcript]:
        """One conversation with each server.

        aiohttp forgets requests it has read, but not begun to answer, as soon as it reads something that is no HTTP. So what
        it answers depends on how TCP delivers the bytes, and the reference gets them in pieces: those that ours has
        evidently read one by one are sent one by one, what ours has read in one go is sent in one go.

        Where only one server seems to wait for more it is listened to for longer: the machine may be busy.
        """
        async with talk(self.ports["ours"], conversation, self.question) as mine:
            ours = await mine.run()
            taken = len(ours.answers) - (1 if ours.unreadable else 0)
            pieces = conversation.in_pieces(ends_of_requests(conversation.sent)[:taken])
            async with talk(self.ports["reference"], pieces, self.question) as theirs:
                reference = await theirs.run()
                if ours.end != reference.end:
                    ours, reference = await mine.listen(LONG_PATIENCE_S), await theirs.listen(LONG_PATIENCE_S)
        return {"ours": ours, "reference": reference}

    async def verdict(self, name: str, conversation: Conversation) -> int:
        """The status of the first answer of one server."""
        async with talk(self.ports[name], conversation, self.question) as said:
            return (await said.run()).statuses[0]

    async def difference(self, conversation: Conversation, *, places: bool = True) -> Difference | None:
        """What differs in a conversation, None if nothing does."""
        seen = await self.transcripts(conversation)
        what = differences(seen["ours"], seen["reference"], self.names, places=places)
        return Difference(conversation.name, what, conversation.sent) if what else None

    async def compare(self, conversations: Iterable[Conversation]) -> list[Difference]:
        """The differences in conversations that have nothing to do with each other, many of them at a time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(conversation: Conversation) -> Difference | None:
            async with gate:
                # Nobody else's reservations are in these answers, so that the random names are theirs alone.
                return await self.alone().difference(conversation, places=False)

        found = await asyncio.gather(*(one(each) for each in conversations))
        return [each for each in found if each is not None]

    def alone(self) -> "Pair":
        """The same pair with names that start anew."""
        return Pair(self.servers, self.ports, self.question)

    async def must_agree(self, conversations: Iterable[Conversation]) -> None:
        """Fails with every difference."""
        found = await self.compare(conversations)
        assert not found, f"{len(found)} differ:\n" + "\n".join(map(str, found))

    async def must_agree_in_turn(self, conversations: Iterable[Conversation]) -> None:
        """The same for conversations that are had one after the other and build on each other, `place` included."""
        names = self.alone()
        found = [each for one in conversations if (each := await names.difference(one)) is not None]
        assert not found, f"{len(found)} differ:\n" + "\n".join(map(str, found))
