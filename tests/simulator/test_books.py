"""The file of the simulator: everything answered is there after a kill, one process has it, and damage is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from flashsale.simulator.books import Books, BooksError, Sent
from flashsale.simulator.records import Captured
from tests.process.programs import clean_env
from tests.support.simulator import run_simulator

CARD = {"amount": 100, "currency": "EUR", "method": "card", "capture": "manual"}


def test_a_killed_simulator_knows_everything_again(tmp_path: Path) -> None:
    with run_simulator(file=tmp_path / "new" / "books.jsonl") as simulator:
        url = ""
        for number in range(20):
            payment = simulator.call("POST", "/v1/payments", CARD, f"key {number}")
            url = payment["url"]
            simulator.pay(url)
            if number % 2:
                simulator.call("POST", f"/v1/payments/{payment['id']}/capture")
            if number % 4 == 1:
                body = {"payment": payment["id"], "amount": 40}
                simulator.call("POST", "/v1/refunds", body, "r")
        before = simulator.payments()
        simulator.kill()
        simulator.start_again()
        assert simulator.payments() == before
        assert simulator.call("POST", "/v1/payments", CARD, "key 0")["id"] == before[0]["id"]
        assert simulator.pay(url)[0] == 409
        # And once more, after what was added.
        simulator.call("POST", f"/v1/payments/{before[0]['id']}/capture")
        simulator.stop()
        simulator.start_again()
        assert simulator.payments()[0]["status"] == "paid"
        assert simulator.payments()[1:] == before[1:]


def test_a_line_that_was_cut_off_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "books.jsonl"
    books = Books(path)
    books.write(Captured(1, "pay_1"))
    books.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-5])
    books = Books(path)
    assert list(books.lines()) == [Captured(1, "pay_1")]
    books.note_sent("evt_1")
    books.write(Captured(2, "pay_1"))
    books.close()
    books = Books(path)
    assert list(books.lines()) == [Captured(1, "pay_1"), Sent("evt_1"), Captured(2, "pay_1")]
    books.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["sent", "evt_1"]\nnonsense\n', "line 2"),
        ('["captured", 1, "pay_1"]\n', "a payment that was never asked for"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "books.jsonl"
    path.write_text(text)
    settings = {"FLASHSALE_SIMULATOR_FILE": str(path), "FLASHSALE_SIMULATOR_SECRET": "secret-of-a-test"}
    command = [sys.executable, "-m", "flashsale", "simulator"]
    done = subprocess.run(command, env=clean_env(settings), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text() == text


def test_one_process_has_the_file(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.jsonl")
    with pytest.raises(BooksError, match="in use"):
        Books(tmp_path / "books.jsonl")
    books.close()
    Books(tmp_path / "books.jsonl").close()
    with pytest.raises(BooksError, match="cannot open"):
        Books(tmp_path)


def test_a_full_disk_leaves_no_half_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full stands for a full disk, and is missing here")
    books = Books(full)
    with pytest.raises(BooksError, match="is the disk full"):
        books.write(Captured(1, "pay_1"))
