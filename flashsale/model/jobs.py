"""Payment jobs: the entries of a sale's `payments` stream.

An entry has one field named by the job's kind, which holds its payload, and a field `tries` once it has been tried:

    start    token: take the present attempt of this reservation to the provider
    void     token, attempt (1 byte), reference: see that this payment takes no money any more
    refund   token, then a charge (money 10 bytes, reference length 1 byte, reference): give it back
    wake     nothing: payments have begun to wait for their turn
    event    MessagePack of what a provider has told (flashsale/engine/events.py)

Outside the stream, among the retries and the dead, a job is: kind length 1 | kind | tries 2 | payload.
"""

from dataclasses import dataclass
from enum import StrEnum

from flashsale.model.payment import MONEY_BYTES, Money

_TOKEN_BYTES = 16
_MOST_KIND_BYTES = 255
_MOST_TRIES = 65_535


class JobKind(StrEnum):
    """What is to be done."""

    START = "start"
    VOID = "void"
    REFUND = "refund"
    EVENT = "event"
    WAKE = "wake"


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it came out of the stream."""

    entry_id: str
    kind: str
    """A `JobKind`; any other text is put aside as dead."""
    payload: bytes
    tries: int = 0
    """How often it was tried and put off before."""

    def pack(self) -> bytes:
        """The job as it is kept outside the stream, without its entry; one of a strange kind is kept as far as it fits."""
        kind = self.kind.encode("ascii", "replace")[:_MOST_KIND_BYTES]
        tries = min(self.tries, _MOST_TRIES)
        return bytes((len(kind),)) + kind + tries.to_bytes(2, "big") + self.payload

    @classmethod
    def unpack(cls, entry_id: str, packed: bytes) -> "Job":
        """A packed job.

        Raises:
            ValueError: the bytes are something else.
        """
        kind_ends = 1 + packed[0] if packed else 0
        if len(packed) < kind_ends + 2 or not kind_ends:
            raise ValueError("not a packed job")
        tries = int.from_bytes(packed[kind_ends : kind_ends + 2], "big")
        return cls(entry_id, packed[1:kind_ends].decode("ascii"), packed[kind_ends + 2 :], tries)

    @property
    def token(self) -> str:
        """The reservation that a start, void or refund is about."""
        return self.payload[:_TOKEN_BYTES].decode("ascii")

    def voided(self) -> tuple[int, str]:
        """Attempt and reference of a void."""
        return self.payload[_TOKEN_BYTES], self.payload[_TOKEN_BYTES + 1 :].decode("ascii")

    def refunded(self) -> tuple[Money, str]:
        """Money and reference of the charge of a refund."""
        charge = self.payload[_TOKEN_BYTES:]
        return Money.unpack(charge), charge[MONEY_BYTES + 1 :].decode("ascii")


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that was given up, until somebody tries it again."""

    job: Job
    error: str
    at_ms: int
