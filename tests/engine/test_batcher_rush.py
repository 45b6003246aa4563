"""Batches of a rush: thousands of claims in one turn of the event loop."""

from collections.abc import Sequence

import pytest

from flashsale.engine.batcher import CLAIMS_BETWEEN_LOOKS, LARGE, Waiter
from flashsale.scripts.reserve import Batch, Claim, Decision, Refused
from tests.support.batches import Mail, Post, answer, ask, customer, queue, turns
from tests.support.sales import claim


async def test_a_large_batch_does_not_wait_for_the_end_of_the_turn() -> None:
    post = Post()
    batcher = post.batcher(queue(batch_limit=512))
    futures = [ask(batcher, claim(f"{n}")) for n in range(LARGE + 10)]
    assert [len(batch) for batch in post.batches] == [LARGE]
    await turns()
    post.answer(0)
    await turns()
    post.answer(1)
    assert [customer(await future) for future in futures] == [f"{n}" for n in range(LARGE + 10)]
    assert [len(batch) for batch in post.batches] == [LARGE, 10]


async def test_replies_are_looked_for_while_claims_still_come() -> None:
    """The first batch is told in the turn in which the last claims are made, and the next goes out at once."""
    told: list[str] = []

    class Told(Waiter):
        def decided(self, decision: Decision, version: int) -> None:
            assert isinstance(decision, Refused)
            told.append(decision.sku)

    mail = Mail()
    batcher = mail.batcher(queue(batch_limit=512))
    names = [f"{n}" for n in range(LARGE + 3 * CLAIMS_BETWEEN_LOOKS)]
    for name in names:
        batcher.submit(claim(name), Told())
    assert len(told) > LARGE
    assert mail.batches[:2] == [LARGE, CLAIMS_BETWEEN_LOOKS - 1]
    while len(told) < len(names):
        await turns()
        assert mail.unread
        mail.look()
    assert told == names


async def test_a_reply_that_does_not_fit_fails_its_batch_and_no_other() -> None:
    fitting = False

    def reply(claims: Sequence[Claim]) -> Batch:
        return answer(claims if fitting else [])

    mail = Mail(reply)
    batcher = mail.batcher(queue(batch_limit=2))
    futures = [ask(batcher, claim(name)) for name in "abc"]
    await turns()
    with pytest.raises(ValueError, match="zip"):
        mail.look()
    for future in futures[:2]:
        with pytest.raises(ValueError, match="zip"):
            await future
    assert mail.batches == [2, 1]
    fitting = True
    mail.look()
    assert customer(await futures[2]) == "c"
