"""`flashsale sale`, against a real server."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from flashsale.client import Client
from tests.cli.conftest import Commands
from tests.support.world import definition

FIVE_FAULTS = {
    "title": "",
    "opens_at": "tomorrow",
    "currency": "XXX",
    "items": [{"sku": "a", "price": 0, "stock": -1}],
}


def reserve(commands: Commands, sale: str, quantity: int = 1) -> None:
    async def act() -> None:
        async with Client(commands.server.url, commands.server.token("c-1")) as shopper:
            body = {"items": [{"sku": "giulia", "quantity": quantity}]}
            await shopper.request("POST", f"/v1/sales/{sale}/reservations", body)

    asyncio.run(act())


def test_put_takes_the_id_from_the_name_of_the_file(commands: Commands) -> None:
    sale = commands.define("by-name")
    assert (sale["id"], sale["state"]) == ("by-name", "open")
    assert sale["items"][0]["stock"] == 5


def test_put_takes_the_id_from_the_file_and_rather_from_the_option(
    commands: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(definition() | {"id": "in-file"}))
    assert commands.json("sale", "put", str(file))["id"] == "in-file"
    assert commands.json("sale", "put", str(file), "--id", "by-option")["id"] == "by-option"


def test_put_reads_standard_input(commands: Commands) -> None:
    text = json.dumps(definition()).encode()
    assert commands.json("sale", "put", "-", "--id", "from-input", typed=text)["id"] == "from-input"
    assert "has no name" in commands.fails("sale", "put", "-", typed=text, exit_code=2)


@pytest.mark.parametrize("sale", ["", "-a", "A", "a b", "a}", "a/b", "..", "x" * 64, "café"])
def test_put_refuses_what_cannot_be_an_id(commands: Commands, sale: str) -> None:
    error = commands.fails(
        "sale", "put", "-", f"--id={sale}", typed=json.dumps(definition()).encode(), exit_code=2
    )
    assert "cannot be the id of a sale" in error


def test_put_names_every_fault_on_one_line(commands: Commands) -> None:
    error = commands.fails("sale", "put", "-", "--id", "faulty", typed=json.dumps(FIVE_FAULTS).encode())
    assert error.count("\n") == 1
    for field in ("title", "opens_at", "currency", "items[0].price", "items[0].stock"):
        assert f"; {field}: " in error


@pytest.mark.parametrize(
    ("text", "word"), [(b"{", "is not JSON"), (b"[]", "no JSON object"), (b"\xff", "is not JSON")]
)
def test_put_refuses_what_is_no_definition(commands: Commands, text: bytes, word: str) -> None:
    assert word in commands.fails("sale", "put", "-", "--id", "x", typed=text)


def test_put_says_which_file_cannot_be_read(commands: Commands, tmp_path: Path) -> None:
    assert f"cannot read {tmp_path / 'none.json'}" in commands.fails(
        "sale", "put", str(tmp_path / "none.json")
    )
    assert "cannot read" in commands.fails("sale", "put", str(tmp_path))


def test_a_sale_that_has_opened_is_not_defined_anew(commands: Commands) -> None:
    commands.define("settled")
    reserve(commands, "settled")
    text = json.dumps(definition(title="Another")).encode()
    error = commands.fails("sale", "put", "-", "--id", "settled", typed=text)
    assert error.startswith("Error: Already opened: ")
    assert "(already_opened)" in error


def test_show_is_for_people_and_for_programs(commands: Commands) -> None:
    made = commands.define("shown", title="Giulia [bold]Milano[/bold]", limit_per_customer=1)
    text = commands.must("sale", "show", "shown")
    assert "Giulia [bold]Milano[/bold]" in text
    assert re.search(r"giulia\s+giulia\s+330,000\.00 CNY\s+5\s+5", text)
    assert "1 unit a customer" in text
    shown = commands.json("sale", "show", "shown")
    assert {**shown, "server_time": ""} == {**made, "server_time": ""}
    assert "There is no sale unheard-of (unknown_sale)" in commands.fails("sale", "show", "unheard-of")
    assert "unknown_sale" in commands.fails("sale", "show", "..")


def test_list(commands: Commands) -> None:
    commands.define("listed-1", opens_in=timedelta(days=1))
    commands.define("listed-2")
    text = commands.must("sale", "list")
    assert re.search(r"listed-1\s+scheduled\s+\d{4}-", text)
    assert re.search(r"listed-2\s+open\s", text)
    assert {"listed-1", "listed-2"} <= {sale["id"] for sale in commands.json("sale", "list")["sales"]}


def test_pause_resume_close(commands: Commands) -> None:
    commands.define("steered")
    for verb, state in (
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "open"),
        ("close", "closed"),
        ("close", "closed"),
    ):
        assert commands.json("sale", verb, "steered")["state"] == state
    assert "closed" in commands.must("sale", "show", "steered")
    assert "(closed)" in commands.fails("sale", "resume", "steered")


def test_restock(commands: Commands) -> None:
    commands.define("restocked")
    assert "12" in commands.must("sale", "restock", "restocked", "giulia", "7", "--reason", "found some")
    for _ in range(2):
        again = commands.json("sale", "restock", "restocked", "giulia", "1", "--idempotency-key", "k-1")
        assert again["items"][0]["stock"] == 13
    assert "has no item stelvio (unknown_item)" in commands.fails(
        "sale", "restock", "restocked", "stelvio", "1"
    )
    assert "0 is not in the range" in commands.fails(
        "sale", "restock", "restocked", "giulia", "0", exit_code=2
    )


def test_watch_prints_each_change_until_the_sale_is_closed(commands: Commands) -> None:
    commands.define("watched")
    reserve(commands, "watched", 2)
    commands.must("sale", "close", "watched")
    assert re.fullmatch(r"\S+Z closed: giulia 3 of 5\n", commands.must("sale", "watch", "watched"))
    lines = commands.must("sale", "watch", "watched", "--json").splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["closed"]
    assert "unknown_sale" in commands.fails("sale", "watch", "unheard-of")
    assert "not in the range" in commands.fails("sale", "watch", "watched", "--interval", "0.1", exit_code=2)
