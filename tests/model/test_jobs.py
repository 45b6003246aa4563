"""Payment jobs, packed and unpacked."""

import pytest

from flashsale.model.jobs import Job, JobKind
from flashsale.model.payment import Money

TOKEN = "t" * 16
REFUND = TOKEN.encode() + Money(500, "EUR").pack() + b"\x05sim:1"


@pytest.mark.parametrize("kind", [*JobKind, "no such kind", "k" * 255])
@pytest.mark.parametrize("payload", [b"", b"\0\xff", b"p" * 70_000])
@pytest.mark.parametrize("tries", [0, 1, 255, 256, 65_535])
def test_a_job_is_unpacked_as_it_was_packed(kind: str, payload: bytes, tries: int) -> None:
    job = Job("1-1", kind, payload, tries)
    assert Job.unpack("1-1", job.pack()) == job


def test_a_job_has_the_layout_that_the_scripts_read() -> None:
    assert Job("1-1", JobKind.START, TOKEN.encode(), 3).pack() == b"\x05start\x00\x03" + TOKEN.encode()


@pytest.mark.parametrize(
    "packed", [b"", b"\x05", b"\x05start", b"\x05start\x00", b"\xff" * 20, b"\x01\xff\x00\x00"]
)
def test_what_is_no_job_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a packed job|'ascii' codec"):
        Job.unpack("1-1", packed)


def test_a_job_tells_what_it_is_about() -> None:
    assert Job("1-1", JobKind.START, TOKEN.encode()).token == TOKEN
    void = Job("1-1", JobKind.VOID, TOKEN.encode() + b"\x07sim:1")
    assert (void.token, void.voided()) == (TOKEN, (7, "sim:1"))
    refund = Job("1-1", JobKind.REFUND, REFUND)
    assert (refund.token, refund.refunded()) == (TOKEN, (Money(500, "EUR"), "sim:1"))
