"""Signatures of the simulator's webhooks: ours is taken, any other is not, and none is for long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.providers.protocol import SignatureError
from flashsale.providers.signature import MAX_PARTS, signature, verify

SECRET = b"a-secret-of-a-test"
BODY = b'{"id":"evt_1"}'
NOW = 1_795_000_000


def check(header: str, body: bytes = BODY, *, secret: bytes = SECRET, now_s: float = NOW) -> None:
    verify(header, secret, body, now_s=now_s, tolerance_s=300)


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=50), st.integers(0, 10**11))
def test_what_was_signed_is_taken(body: bytes, secret: bytes, at_s: int) -> None:
    check(signature(secret, at_s, body), body, secret=secret, now_s=at_s + 300)
    check(signature(secret, at_s, body), body, secret=secret, now_s=at_s - 300)


def test_one_good_signature_among_several_is_enough() -> None:
    good = signature(SECRET, NOW, BODY)
    old = signature(b"another", NOW, BODY).split(",")[1]
    check(f"{good},{old}")
    check(f"{old}, {good}")
    check(f"v0=abc,{good}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=,v1=",
        f"t={NOW}",
        "v1=" + "0" * 64,
        f"t={NOW},v1=" + "0" * 64,
        f"t=x{NOW},v1=0",
        f"t={'9' * 5000},v1=0",
        f"t={NOW},v1=\xe4",
        signature(SECRET, NOW, BODY).replace("v1=", "v2="),
        signature(SECRET, NOW, BODY) + f",t={NOW + 1}",
        signature(b"another", NOW, BODY),
        signature(SECRET, NOW, b"another"),
        f"t={NOW + 1}," + signature(SECRET, NOW, BODY).split(",")[1],
        ",".join(["v1=0"] * MAX_PARTS) + "," + signature(SECRET, NOW, BODY),
    ],
)
def test_any_other_is_refused(header: str) -> None:
    with pytest.raises(SignatureError):
        check(header)


@pytest.mark.parametrize("seconds", [-301, 301, 10**9])
def test_an_old_one_is_refused_and_so_is_one_of_the_future(seconds: int) -> None:
    with pytest.raises(SignatureError, match="old"):
        check(signature(SECRET, NOW, BODY), now_s=NOW + seconds)


@given(st.text(max_size=200))
def test_nonsense_is_refused_and_nothing_else(header: str) -> None:
    with pytest.raises(SignatureError):
        check(header)
