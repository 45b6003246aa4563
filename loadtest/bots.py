"""Bots: they want everything, now, and lie. None of it may do any good, nor harm anybody else."""

import secrets

import gevent
import jwt
import orjson
from _caller import Caller, until
from _run import RUN
from _tokens import LIFE_SECONDS, signed
from _wire import Answer
from locust import constant, tag, task

from flashsale.verdict.evidence import Hold

FLOOD: int = 20
"""Requests, one straight after the other, of each turn."""
PAUSE_SECONDS = 0.05
GUESSES = ("secret", "changeme", "flashsale-flashsale-flashsale-flashsale")


class Bot(Caller):
    """One who hammers, ignores Retry-After, forges tokens and floods keys."""

    parts = frozenset({"bot", "hammer", "forge", "flood"})
    fixed_count = 0
    wait_time = constant(PAUSE_SECONDS)

    def on_start(self) -> None:
        """Comes as everybody does, and begins a moment before T0."""
        RUN.planned.wait()
        self.become("bot-" + RUN.customer())
        self.view()
        RUN.t0_known.wait()
        gevent.sleep(until(RUN.own_t0_ms() - 500))
        self._one_key = secrets.token_hex(8)

    def _reserve(self, what: str, token: str, key: str, body: bytes | None = None) -> Answer:
        assert RUN.plan is not None
        while RUN.over.is_set():
            gevent.sleep(3600)  # until Locust ends it
        item = RUN.chance.choice(RUN.plan.terms.items)
        text = self.line.render(
            "POST",
            self.sale_path + "/reservations",
            body if body is not None else orjson.dumps({"items": [{"sku": item.sku, "quantity": 1}]}),
            Authorization=f"Bearer {token}",
            Idempotency_Key=key,
        )
        RUN.ledger.busy += 1
        try:
            answer = self.line.ask(text)
        finally:
            RUN.ledger.busy -= 1
        RUN.ledger.bot(f"{what} {answer.status}")
        self.tell(f"bot: {what}", answer, answer.took_ms)
        if not answer.status:
            RUN.ledger.bot_silence(self.customer)
        if answer.status == 201 and what in {"hammer", "flood"}:
            fields = answer.fields()
            RUN.ledger.bot_hold(
                Hold(
                    fields["id"],
                    fields["customer"],
                    {line["sku"]: line["quantity"] for line in fields["items"]},
                    fields["place"],
                    RUN.clock.at(answer.sent_ms),
                    RUN.clock.at(answer.received_ms),
                    settled=True,
                )
            )
        return answer

    @tag("bot", "hammer")
    @task(3)
    def hammer(self) -> None:
        """Presses and presses, whatever the answer says about waiting."""
        for _ in range(FLOOD):
            self._reserve("hammer", self.token, self._one_key)

    @tag("bot", "flood")
    @task(2)
    def flood(self) -> None:
        """A new key each time, for one customer."""
        for _ in range(FLOOD):
            self._reserve("flood", self.token, secrets.token_hex(8))

    @tag("bot", "forge")
    @task(2)
    def forge(self) -> None:
        """Tokens that nobody has issued."""
        other = self.customer + "-forged"
        forged = [signed(other, guess.ljust(32, "x")) for guess in GUESSES]
        forged += (
            [signed(other, RUN.options.shopper_secret, life_seconds=-10)]
            if RUN.options.shopper_secret
            else []
        )
        forged += [
            jwt.encode({"sub": other, "aud": "flashsale", "exp": LIFE_SECONDS * 10**6}, "", algorithm="none")
        ]
        forged += [self.token[:-4] + "AAAA", "x" * 2000, ""]
        for token in forged:
            self._refused("forge", self._reserve("forge", token, secrets.token_hex(8)))

    @tag("bot", "forge")
    @task(1)
    def garble(self) -> None:
        """Bodies that are none."""
        for body in (
            b"{",
            b'{"items": []}',
            b'{"items": [{"sku": "nothing-of-yours", "quantity": 1}]}',
            b"[" * 5000,
        ):
            self._refused("garble", self._reserve("garble", self.token, secrets.token_hex(8), body))

    def _refused(self, what: str, answer: Answer) -> None:
        if 200 <= answer.status < 300 or answer.status == 500:
            self.odd(what, f"a bot was answered: {answer.said()}", answer)
