"""Where webhooks may go: which addresses are public, which URLs can be a receiver's, and names that change their mind."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from flashsale.webhooks.addresses import BadUrlError, Guard, TargetRefusedError, check_url, is_public

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "223.5.5.5",
    "2400:3200::1",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_of_the_public_internet(address: str) -> None:
    assert not is_public(address)
    assert not Guard(private_networks=False).allows(address)
    assert Guard(private_networks=True).allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_no_socket_is_opened_for_a_refused_address(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    info = (family, socket.SOCK_STREAM, 0, "", (address, 80))
    with pytest.raises(TargetRefusedError, match="public internet"):
        Guard(private_networks=False).open_socket(info)
    with Guard(private_networks=True).open_socket(info) as opened:
        assert opened.family is family


@pytest.mark.parametrize(
    "text",
    [
        "https://orders.example.com/flashsale?token=1",
        "http://orders.example.com:8080",
        "https://[2606:4700::1111]:8443/hook",
        "https://xn--bcher-kva.example/",
        "https://" + "a" * 40 + ".example/" + "b" * 1900,
    ],
)
def test_addresses_of_receivers(text: str) -> None:
    assert str(check_url(text).host)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "https://"),
        ("orders.example.com", "https://"),
        ("//orders.example.com/", "https://"),
        ("ftp://orders.example.com/", "https://"),
        ("HTTPS://orders.example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "https://"),
        ("https:///path", "https://"),
        ("https://user@orders.example.com/", "password"),
        ("https://user:secret@orders.example.com/", "password"),
        ("https://:secret@orders.example.com/", "password"),
        ("https://orders.example.com/#part", "fragment"),
        ("https://orders.example.com:99999/", "valid"),
        ("https://orders.example.com:port/", "valid"),
        ("https://[::1/", "valid"),
        ("https://orders.example.com/a b", "spaces"),
        ("https://orders.example.com/\r\nHost: x", "spaces"),
        ("https://bücher.example/", "ASCII"),
        ("https://orders.example.com/" + "a" * 2000, "2000"),
    ],
)
def test_what_cannot_be_one(text: str, word: str) -> None:
    with pytest.raises(BadUrlError, match=word) as error:
        check_url(text)
    assert "secret" not in str(error.value)


def found(*addresses: str) -> list[tuple[Any, ...]]:
    """What `getaddrinfo` answers for a name with these addresses."""
    return [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443))
        for each in addresses
    ]


async def test_a_name_is_refused_when_one_of_its_addresses_is_not_public() -> None:
    answers = {"good": found("1.1.1.1"), "bad": found("10.0.0.1"), "mixed": found("1.1.1.1", "::1")}

    def lookup(host: str, _port: int, _family: int) -> list[tuple[Any, ...]]:
        if host not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return answers[host]

    guard = Guard(private_networks=False, lookup=lookup)
    said = {host: await guard.allows_name(host, 443, timeout_s=30) for host in (*answers, "unknown")}
    assert said == {"good": True, "bad": False, "mixed": False, "unknown": True}
    anywhere = Guard(private_networks=True, lookup=lookup)
    assert await anywhere.allows_name("bad", 443, timeout_s=30)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::1", "localhost"]
)
async def test_numbers_in_every_spelling_are_seen_through(host: str) -> None:
    assert not await Guard(private_networks=False).allows_name(host, 80, timeout_s=30)


async def test_lookups_that_hang_keep_no_other_waiting() -> None:
    going = threading.Event()

    def lookup(host: str, _port: int, _family: int) -> list[tuple[Any, ...]]:
        if host == "hangs":
            going.wait(60)
        return found("1.1.1.1")

    guard = Guard(private_networks=False, lookup=lookup)
    hanging = [asyncio.create_task(guard.resolver().resolve("hangs", 443)) for _ in range(100)]
    await asyncio.sleep(0)
    assert await guard.allows_name(
        "hangs", 443, timeout_s=0.01
    )  # it cannot be told, so it is told at connect time
    assert [each["host"] for each in await guard.resolver().resolve("well", 443)] == ["1.1.1.1"]
    assert not any(task.done() for task in hanging)
    going.set()
    assert len(await asyncio.gather(*hanging)) == 100
