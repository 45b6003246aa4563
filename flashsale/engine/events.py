"""What a provider has told, on its way through the queue."""

from dataclasses import dataclass

import msgspec

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
