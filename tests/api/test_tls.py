"""A store behind TLS that knows its users: `--redis-url rediss://user:password@...`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from flashsale.process.embedded import EmbeddedValkey
from flashsale.process.ports import ReservedPort
from tests.support.certificate import write_certificate
from tests.support_http.client import Shop, eventually, new_sale_id
from tests.support_http.server import Server, app_on, debian_server

USER, PASSWORD = "shop", "p@ss/word:with?odd#signs"
RIGHTS = "~fs:* resetchannels +@all -@dangerous -@admin"


@dataclass
class Guarded:
    """A store that speaks TLS only to those who know user and password."""

    port: int
    certificate: Path

    def url(self, user: str = USER, password: str = PASSWORD, *, certificate: bool = True) -> str:
        trust = f"?ssl_ca_certs={quote(str(self.certificate))}" if certificate else ""
        return f"rediss://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/0{trust}"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    certificate, key = write_certificate(tmp_path)
    with ReservedPort() as tls:
        lines = [
            f"tls-port {tls.port}",
            f'tls-cert-file "{certificate}"',
            f'tls-key-file "{key}"',
            "tls-auth-clients no",
            f'user {USER} on ">{PASSWORD}" {RIGHTS}',
        ]
        binary = debian_server("TLS")
        with EmbeddedValkey(tmp_path / "data", binary=binary, extra_config=lines):
            yield Guarded(tls.port, certificate)


async def test_a_server_over_tls_as_a_user(guarded: Guarded, servers: list[Server], tmp_path: Path) -> None:
    servers.append(Server(tmp_path, ["--redis-url", guarded.url()], workers=2))
    sale = new_sale_id()
    async with Shop(servers[0].url) as shop:
        await eventually(shop.ready, "it is ready")
        (await shop.define(sale)).must(201)
        held = (await shop.reserve(sale, "c-1", key="k")).must(201)
        assert (await shop.reserve(sale, "c-1", key="k")).must(200) == held
        (await shop.restock(sale, 1)).must(200)
        (await shop.cancel(held["id"], "c-1")).must(200)
        (await shop.steer(sale, "pause")).must(200)
        assert len((await shop.ask("GET", "/v1/sales")).must(200)["sales"]) == 1
        await shop.audit(sale)
    log = servers[0].program.err()
    assert PASSWORD not in log
    assert quote(PASSWORD, safe="") not in log


async def test_who_is_not_let_in(guarded: Guarded) -> None:
    plain = guarded.url().replace("rediss://", "redis://").partition("?")[0]
    for url, reason in (
        (guarded.url(password="wrong"), "user or password"),
        (guarded.url(user="nobody"), "user or password"),
        (guarded.url(certificate=False), "cannot be reached"),
        (plain, "cannot be reached"),
    ):
        async with app_on(url) as address, Shop(address) as shop:
            ready = await shop.ask("GET", "/readyz")
            assert reason in ready.refused(503, "unavailable")["detail"]
            assert PASSWORD.encode() not in ready.body
            (await shop.reserve("x", "c-1")).refused(503, "unavailable")
