"""What every user does: ask the server, and write down what came of it."""

from typing import Any

from _books import ms_of
from _clock import monotonic_ms
from _ledger import kind_of
from _run import RUN
from _tokens import signed
from _wire import Answer, Line
from locust import FastHttpUser


class Caller(FastHttpUser):
    """A user with a connection of its own on which nothing is sent twice by itself."""

    abstract = True
    concurrency = 2
    insecure = True

    def __init__(self, environment: Any) -> None:
        self.network_timeout = self.connection_timeout = float(environment.parsed_options.answer_timeout)
        super().__init__(environment)
        self.line = Line(self, self.host or "")
        self.customer = ""
        self.token = ""

    @property
    def sale_path(self) -> str:
        """The path of the sale."""
        assert RUN.plan is not None
        return f"/v1/sales/{RUN.plan.terms.sale}"

    def become(self, customer: str) -> None:
        """From now on this user is this customer, or the guest that the server makes of it."""
        secret = RUN.options.shopper_secret
        if secret:
            self.customer, self.token = customer, signed(customer, secret)
            return
        answer = self.ask("guests", self.line.render("POST", "/v1/guests"))
        fields = answer.fields()
        if answer.status == 201:
            self.customer, self.token = fields["customer"], fields["token"]
        else:
            self.customer = customer
            self.odd(
                "guests", f"no guest's token, and no --shopper-secret to sign one: {answer.said()}", answer
            )

    def ask(self, request: str, text: bytes, line: Line | None = None) -> Answer:
        """Sends a request once, writes down that and when it was answered, and tells Locust."""
        answer = (line or self.line).ask(text)
        self.write_down(request, answer)
        self.tell(request, answer, answer.took_ms)
        if answer.status:
            RUN.ledger.latency(request, RUN.clock.at(answer.received_ms), answer.took_ms)
        return answer

    def write_down(self, request: str, answer: Answer) -> None:
        """That there was an answer, or none."""
        RUN.ledger.status(answer.status)
        if not answer.status:
            sent_ms, ended_ms = RUN.clock.at(answer.sent_ms), RUN.clock.at(answer.received_ms)
            RUN.ledger.silence(request, self.customer, sent_ms, ended_ms, answer.error)

    def tell(self, name: str, answer: Answer, took_ms: float) -> None:
        """Locust's statistics. Refusals are answers too: only 5xx other than 503, and no answer, are failures."""
        failed = not answer.status or (answer.status >= 500 and answer.status != 503)
        self.environment.events.request.fire(
            request_type="",
            name=name,
            response_time=took_ms,
            response_length=len(answer.body),
            exception=RuntimeError(answer.said()) if failed else None,
            context={},
        )

    def odd(self, request: str, said: str, answer: Answer) -> None:
        """Writes down an answer that nobody should get."""
        RUN.ledger.odd(request, self.customer, RUN.clock.at(answer.received_ms), said)

    def kind(self, answer: Answer) -> tuple[str, dict[str, Any]]:
        """What kind of answer to `reserve` this is, and its fields."""
        fields = answer.fields()
        return kind_of(answer.status, str(fields.get("code", ""))), fields

    def view(self) -> dict[str, Any] | None:
        """The public view of the sale; the server's clock is learnt on the way."""
        answer = self.ask("view", self.line.render("GET", self.sale_path))
        if answer.status != 200:
            if answer.status and answer.status != 503:
                self.odd("view", f"the page of the sale: {answer.said()}", answer)
            return None
        fields = answer.fields()
        try:
            RUN.clock.learn(answer.sent_ms, ms_of(fields["server_time"]), answer.received_ms)
        except (KeyError, TypeError, ValueError):
            self.odd("view", f"no time of the server: {answer.said()}", answer)
            return None
        return fields


def until(own_ms: float) -> float:
    """Seconds from now to an instant of this machine's clock, at least 0."""
    return max(0.0, (own_ms - monotonic_ms()) / 1000)
