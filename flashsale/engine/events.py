"""What a provider has told, on its way through the queue."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from flashsale.keys import STRAY
from flashsale.model import ids
from flashsale.providers.protocol import Event


@dataclass(frozen=True, slots=True)
class Received:
    """A verified event, and the provider it came from."""

    provider: str
    event: Event

    @property
    def reference(self) -> str:
        """Name of the payment in our records."""
        return reference(self.provider, self.event.payment.id)


def reference(provider: str, payment_id: str) -> str:
    """`stripe:pi_123`: what a payment of a provider is called in records and facts."""
    return f"{provider}:{payment_id}"


def split(text: str) -> tuple[str, str]:
    """Provider and payment id of a reference."""
    provider, _, payment_id = text.partition(":")
    return provider, payment_id


def token_of(reservation: str) -> str:
    """The token of a reservation id; of a text that is none, sixteen characters that stand for it."""
    reservation_id = ids.parse_reservation_id(reservation)
    if reservation_id is not None:
        return reservation_id.token
    return urlsafe_b64encode(blake2b(reservation.encode(), digest_size=12).digest()).decode()


def sale_of(reservation: str) -> str:
    """The sale of a reservation id, or the one that stands for all that nobody knows."""
    reservation_id = ids.parse_reservation_id(reservation)
    return reservation_id.sale if reservation_id is not None and reservation_id.shard == 0 else STRAY


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Received).decode


def pack(received: Received) -> bytes:
    """The payload of an `event` job."""
    return _encode(received)


def unpack(payload: bytes) -> Received:
    """What was packed.

    Raises:
        ValueError: the bytes are something else.
    """
    try:
        return _decode(payload)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an event: {error}") from error
