"""The simulator over HTTP: what it is asked and answers, who may ask, and the faults of its answers."""

import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.simulator import Simulator, run_simulator

CARD = {"amount": 100, "currency": "EUR", "method": "card", "capture": "manual"}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with run_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """One without faults, whatever a test has told it."""
    yield running
    running.set_faults(outage_percent=0, timeout_percent=0, refund_fail_percent=0, refund_bounce_percent=0)
    running.set_faults(decline_percent=0, latency_ms=0, jitter_ms=0)


def start(simulator: Simulator, key: str, **changes: object) -> dict[str, object]:
    return dict(simulator.call("POST", "/v1/payments", {**CARD, **changes}, key))


def paid(simulator: Simulator, key: str) -> str:
    payment = start(simulator, key, capture="automatic")
    assert simulator.pay(str(payment["url"]))[0] == 200
    return str(payment["id"])


def test_a_payment_from_start_to_refund(simulator: Simulator) -> None:
    metadata = {"shop": "flashsale", "reservation": "sale.0.token", "attempt": "1"}
    payment = start(simulator, "whole", metadata=metadata)
    assert payment["status"] == "open"
    assert start(simulator, "whole", metadata=metadata) == payment
    assert simulator.pay(str(payment["url"]))[1]["status"] == "authorised"
    path = f"/v1/payments/{payment['id']}"
    assert simulator.call("POST", f"{path}/capture")["status"] == "paid"
    assert simulator.call("POST", f"{path}/capture")["status"] == "paid"
    assert simulator.call("POST", f"{path}/cancel")["status"] == "paid"
    body = {"payment": payment["id"], "amount": 100}
    refund = simulator.call("POST", "/v1/refunds", body, "r")
    assert simulator.call("POST", "/v1/refunds", body, "r") == refund
    assert simulator.ask("POST", "/v1/refunds", body, "other")[0] == 409
    seen = simulator.call("GET", path)
    assert (seen["status"], seen["refunded"], seen["refunds"]) == ("paid", 100, [refund])
    assert seen["metadata"] == metadata
    assert refund in simulator.call("GET", "/v1/refunds")["refunds"]


def test_lists_are_read_in_pages(simulator: Simulator) -> None:
    made = [paid(simulator, f"listed {number}") for number in range(5)]
    page = simulator.call("GET", f"/v1/payments?limit=2&after={made[0]}")
    assert [payment["id"] for payment in page["payments"]] == made[1:3]
    assert page["next"] == made[2]
    page = simulator.call("GET", f"/v1/payments?limit=3&after={made[2]}")
    assert ([payment["id"] for payment in page["payments"]], page["next"]) == (made[3:], None)
    assert simulator.call("GET", f"/v1/payments?since_ms={1 << 50}") == {"payments": [], "next": None}
    refunds = []
    for payment in made[:3]:
        body = {"payment": payment, "amount": 100}
        refunds.append(simulator.call("POST", "/v1/refunds", body, payment)["id"])
    page = simulator.call("GET", f"/v1/refunds?limit=1&after={refunds[0]}")
    assert ([refund["id"] for refund in page["refunds"]], page["next"]) == ([refunds[1]], refunds[1])


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "status", "code"),
    [
        ("POST", "/v1/payments", CARD, None, 400, "invalid"),
        ("POST", "/v1/payments", CARD, "k" * 256, 400, "invalid"),
        ("POST", "/v1/payments", {**CARD, "amount": 0}, "k", 400, "invalid"),
        ("POST", "/v1/payments", {**CARD, "amount": 1 << 48}, "k", 400, "invalid"),
        ("POST", "/v1/payments", {**CARD, "currency": "eur"}, "k", 400, "invalid"),
        ("POST", "/v1/payments", {**CARD, "capture": "later"}, "k", 400, "invalid"),
        ("POST", "/v1/payments", {**CARD, "metadata": {"a": 1}}, "k", 400, "invalid"),
        ("POST", "/v1/payments", [], "k", 400, "invalid"),
        ("POST", "/v1/payments/pay_nobody/capture", None, None, 404, "unknown_payment"),
        ("POST", "/v1/payments/pay_nobody/cancel", None, None, 404, "unknown_payment"),
        ("GET", "/v1/payments/pay_nobody", None, None, 404, "unknown_payment"),
        ("GET", "/v1/payments?after=pay_nobody", None, None, 404, "unknown_payment"),
        ("GET", "/v1/payments?limit=0", None, None, 400, "invalid"),
        ("GET", "/v1/payments?limit=many", None, None, 400, "invalid"),
        ("GET", "/v1/refunds?after=nobody", None, None, 404, "unknown_refund"),
        ("POST", "/v1/refunds", {"payment": "pay_nobody", "amount": 1}, "k", 404, "unknown_payment"),
        ("POST", "/v1/refunds", {"payment": "pay_nobody"}, "k", 400, "invalid"),
        ("PUT", "/v1/faults", {"lose_percent": 101}, None, 400, "invalid"),
        ("PUT", "/v1/faults", {"loose_percent": 1}, None, 400, "invalid"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(
    simulator: Simulator, method: str, path: str, body: object, key: str | None, status: int, code: str
) -> None:
    answered, answer = simulator.ask(method, path, body, key)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"]


def test_a_key_of_another_order_is_refused(simulator: Simulator) -> None:
    start(simulator, "same")
    assert simulator.ask("POST", "/v1/payments", {**CARD, "amount": 101}, "same")[0] == 422


def test_only_who_has_the_secret_is_heard(simulator: Simulator) -> None:
    secret, simulator.secret = simulator.secret, "a-guess"
    try:
        for method, path in (
            ("POST", "/v1/payments"),
            ("GET", "/v1/payments"),
            ("GET", "/v1/payments/pay_nobody"),
            ("POST", "/v1/payments/pay_nobody/capture"),
            ("POST", "/v1/payments/pay_nobody/cancel"),
            ("POST", "/v1/refunds"),
            ("GET", "/v1/refunds"),
            ("GET", "/v1/faults"),
            ("PUT", "/v1/faults"),
        ):
            assert simulator.ask(method, path, {}, "k")[0] == 401, path
    finally:
        simulator.secret = secret
    with urllib.request.urlopen(f"{simulator.url}/healthz") as answer:
        assert answer.status == 200


def test_an_outage_does_nothing_and_a_timeout_does_it_unheard(simulator: Simulator) -> None:
    simulator.set_faults(outage_percent=100)
    status, answer = simulator.ask("POST", "/v1/payments", CARD, "outage")
    assert (status, answer["error"]["code"]) == (503, "away")
    simulator.set_faults(outage_percent=0, timeout_percent=100)
    before = len(simulator_list(simulator))
    assert simulator.ask("POST", "/v1/payments", CARD, "timeout") == (0, {})
    simulator.set_faults(timeout_percent=0)
    assert len(simulator.payments()) == before + 1
    assert start(simulator, "timeout")["status"] == "open"
    assert len(simulator.payments()) == before + 1


def simulator_list(simulator: Simulator) -> list[dict[str, object]]:
    """Every payment, read while no call is answered: the faults are lifted for it."""
    faults = simulator.call("GET", "/v1/faults")
    simulator.set_faults(timeout_percent=0)
    found = simulator.payments()
    simulator.set_faults(timeout_percent=faults["timeout_percent"])
    return found


def test_the_same_call_may_work_the_next_time(simulator: Simulator) -> None:
    simulator.set_faults(outage_percent=50)
    for number in range(20):
        statuses = [simulator.ask("POST", "/v1/payments", CARD, f"half {number}")[0] for _ in range(30)]
        assert {200, 503} == set(statuses)


def test_a_refund_that_fails_works_at_the_third_try(simulator: Simulator) -> None:
    body = {"payment": paid(simulator, "fails"), "amount": 100}
    simulator.set_faults(refund_fail_percent=100)
    assert [simulator.ask("POST", "/v1/refunds", body, "r")[0] for _ in range(4)] == [500, 500, 200, 200]


def test_a_refund_that_bounces_was_accepted_first(simulator: Simulator) -> None:
    payment = paid(simulator, "bounces")
    body = {"payment": payment, "amount": 100}
    simulator.set_faults(refund_bounce_percent=100)
    assert simulator.call("POST", "/v1/refunds", body, "r")["status"] == "succeeded"
    assert simulator.call("POST", "/v1/refunds", body, "r")["status"] == "failed"
    assert simulator.call("GET", f"/v1/payments/{payment}")["refunded"] == 0
    assert simulator.call("POST", "/v1/refunds", body, "again")["status"] == "succeeded"
    assert simulator.call("GET", f"/v1/payments/{payment}")["refunded"] == 100


def test_without_a_wished_outcome_chance_decides(simulator: Simulator) -> None:
    simulator.set_faults(decline_percent=100)
    payment = start(simulator, "chance")
    assert simulator.pay(str(payment["url"]), None)[1]["status"] == "failed"
    simulator.set_faults(decline_percent=0)
    assert simulator.pay(str(payment["url"]), None)[1]["status"] == "authorised"


def test_latency_is_endured(simulator: Simulator) -> None:
    simulator.set_faults(latency_ms=20, jitter_ms=20)
    assert start(simulator, "slow")["status"] == "open"


def test_too_large_a_body_is_refused(simulator: Simulator) -> None:
    assert simulator.ask("POST", "/v1/payments", {**CARD, "description": "x" * 70_000}, "large")[0] == 413


def test_it_says_that_nobody_is_charged_and_tells_no_secret(simulator: Simulator) -> None:
    log = simulator.program.err()
    assert "nobody is charged" in log
    assert simulator.secret not in log
    assert "Traceback" not in log
