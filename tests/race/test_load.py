"""The generators of the race: what they send, when, and what they take for an answer."""

import pytest

from bench.race.arrivals import schedule
from bench.race.builds import BUILDERS, MissingError, ready
from bench.race.crowd import customer_name, request, tokens, write_tokens
from bench.race.field import FIELD, SECRET, by_key
from bench.race.shoppers import AnswerError, complete
from flashsale.identity.tokens import ShopperTokens


def test_everybody_in_the_crowd_is_somebody_else() -> None:
    reader = ShopperTokens(SECRET, None)
    made = list(tokens(50))
    assert [reader.verify(token.decode()) for token in made] == [customer_name(at) for at in range(50)]


def test_the_file_has_a_token_a_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_tokens(tmp_path_factory.mktemp("crowd") / "tokens", 3)
    assert len(path.read_bytes().split(b"\n")) == 3


def test_a_request_is_whole() -> None:
    asked = request("sale", b"a.b.c")
    head, _, body = asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/sales/sale/reservations HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_arrivals_are_as_many_as_asked_for_and_the_same_every_time() -> None:
    due = schedule(1000.0, 10.0)
    assert 9_500 < len(due) < 10_500
    assert due == sorted(due) == schedule(1000.0, 10.0)
    assert 0 <= due[0] <= due[-1] < 10


ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


def test_an_answer_is_complete_with_its_last_byte() -> None:
    assert [complete(ANSWER[:at]) for at in range(len(ANSWER))] == [False] * len(ANSWER)
    assert complete(ANSWER)
    with pytest.raises(AnswerError):
        complete(ANSWER + b"H")
    with pytest.raises(AnswerError):
        complete(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_who_cannot_race_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def missing(_built: object) -> None:
        raise MissingError("there is no Go")

    monkeypatch.setitem(BUILDERS, "go", missing)
    found, why = ready([by_key("gin"), by_key("aiohttp-evalsha")], tmp_path_factory.mktemp("built"))
    assert [each.key for each in found] == ["aiohttp-evalsha"]
    assert why == {"gin": "there is no Go"}


def test_every_contender_has_a_name_of_its_own() -> None:
    assert len({each.key for each in FIELD}) == len({each.title for each in FIELD}) == len(FIELD)
