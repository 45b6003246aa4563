"""Where webhooks may go: to addresses of the public internet, unless the settings let them into private networks.

Whoever may register a webhook makes our server call an address, so it must not be one that only our server can reach.
A name is looked up when the webhook is registered, to say so early; what counts is the address of each connection as it is
made (`Guard.open_socket`), because a name may lead elsewhere by then.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from flashsale.model.webhooks import MAX_URL_CHARACTERS

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int, int], Sequence[tuple[Any, ...]]]
"""(host, port, family) -> what `socket.getaddrinfo` answers."""

REFUSED: Final = "the address is not one of the public internet"
_NOT_IN_A_URL: Final = re.compile(r"[^!-~]")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NEVER: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays, given up
        "100.64.0.0/10",  # shared by carriers
        "64:ff9b:1::/48",  # NAT64 of a private network
        "2001::/23",  # protocol assignments, Teredo among them
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local, given up
        "::/96",  # IPv4-compatible, given up
    )
)


class BadUrlError(ValueError):
    """Webhooks cannot go to this address. Says why, without repeating it."""


class TargetRefusedError(OSError):
    """The address is one that webhooks may not go to."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


def check_url(text: str) -> URL:
    """The address of a receiver.

    Raises:
        BadUrlError: it cannot be one, wherever it may lead.
    """
    if len(text) > MAX_URL_CHARACTERS or _NOT_IN_A_URL.search(text):
        raise BadUrlError(
            f"must be an address of at most {MAX_URL_CHARACTERS} ASCII characters, without spaces"
        )
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        raise BadUrlError("is not a valid address") from None
    if not text.startswith(("https://", "http://")) or not host or not port:
        raise BadUrlError("must begin with https:// or http:// and name a host")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadUrlError("must not hold a user or a password: every message is signed instead")
    if "#" in text:
        raise BadUrlError("must not have a fragment")
    return url


def is_public(text: str) -> bool:
    """Whether an address, as a number, is one of the public internet; False for what is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return all(_is_public(each) for each in (address, *_embedded(address)))


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        return True  # decided by the address inside
    refused = (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
    )
    return not refused and not any(address in network for network in _NEVER)


def _embedded(address: IPAddress) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 one leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(address.packed[-4:]))
    return found


def system_lookup(host: str, port: int, family: int) -> Sequence[tuple[Any, ...]]:
    """Asks the system; may take as long as it likes."""
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


async def look_up(
    lookup: Lookup, host: str, port: int, family: int = socket.AF_UNSPEC
) -> Sequence[tuple[Any, ...]]:
    """Runs a lookup in a thread of its own.

    One that hangs thus keeps no other waiting, as it would in a pool, nor the end of the process.

    Raises:
        OSError: the name is not known.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[tuple[Any, ...]]] = loop.create_future()

    def tell(found: Sequence[tuple[Any, ...]] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found or ())
        else:
            answer.set_exception(error)

    def run() -> None:
        found, failed = None, None
        try:
            found = lookup(host, port, family)
        except (OSError, UnicodeError) as error:
            failed = error if isinstance(error, OSError) else OSError("the name cannot be looked up")
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    return await answer


class Guard:
    """Says which addresses may be connected to."""

    def __init__(self, *, private_networks: bool, lookup: Lookup = system_lookup) -> None:
        self._private_networks = private_networks
        self._lookup = lookup

    def allows(self, address: str) -> bool:
        """Whether this address, as a number, may be connected to."""
        return self._private_networks or is_public(address)

    async def allows_name(self, host: str, port: int, *, timeout_s: float) -> bool:
        """Whether every address of a host may be connected to; True also when it has none that can be found in time."""
        if self._private_networks:
            return True
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(timeout_s):
                found = await look_up(self._lookup, host, port)
            return all(is_public(str(sockaddr[0])) for *_, sockaddr in found)
        return True

    def open_socket(self, info: AddrInfoType) -> socket.socket:
        """The socket for the very address that is connected to next, names looked up and numbers given alike.

        Raises:
            TargetRefusedError: it may not be connected to.
        """
        family, kind, protocol, _, address = info
        if not self.allows(str(address[0])):
            raise TargetRefusedError
        return socket.socket(family=family, type=kind, proto=protocol)

    def resolver(self) -> AbstractResolver:
        """Looks names up for connections."""
        return _Resolver(self._lookup)


class _Resolver(AbstractResolver):
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await look_up(self._lookup, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(sockaddr[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, sockaddr in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""
