"""Cursors: how far somebody has read the orders of all sales, as a text that means nothing to them.

    version 1 | of each sale, in order of its mark:  mark 6 | sequence, LEB128 | CRC-32 of all that 4

in base64url without padding. A mark is a hash of the sale's id, so that the text stays short: about eleven characters a
sale that has had orders. What is said of sales that this server does not know is carried along. The checksum is there as a
cursor that was cut would begin some sales anew, and one that was changed would pass orders over: nobody would notice.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zlib import crc32

MARK_BYTES: Final = 6
_VERSION: Final = 1
_CHECK_BYTES: Final = 4
_MOST_BYTES: Final = 48 * 1024
_LAST: Final = (1 << 63) - 1


class CursorError(ValueError):
    """The text is not a cursor of this shop."""


@lru_cache(maxsize=20_000)
def mark_of(sale: str) -> bytes:
    """What stands for a sale in a cursor."""
    return blake2b(sale.encode(), digest_size=MARK_BYTES, person=b"flashsale-cursor").digest()


@dataclass(slots=True)
class Cursor:
    """The last sequence read of every sale; 0 of those it does not name."""

    sequences: dict[bytes, int] = field(default_factory=dict)
    """By the mark of the sale."""

    def of(self, sale: str) -> int:
        """The last sequence read of a sale."""
        return self.sequences.get(mark_of(sale), 0)

    def move(self, sale: str, sequence: int) -> None:
        """A sale was read up to here."""
        if sequence:
            self.sequences[mark_of(sale)] = sequence

    def copy(self) -> "Cursor":
        """One that moves by itself."""
        return Cursor(dict(self.sequences))

    def encode(self) -> str:
        """The text."""
        packed = bytearray([_VERSION])
        for mark, sequence in sorted(self.sequences.items()):
            packed += mark
            packed += _varint(sequence)
        packed += crc32(packed).to_bytes(_CHECK_BYTES, "big")
        return urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def at(cls, sequences: Mapping[str, int]) -> "Cursor":
        """A cursor at these sequences, by sale."""
        cursor = cls()
        for sale, sequence in sequences.items():
            cursor.move(sale, sequence)
        return cursor

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """A cursor from its text.

        Raises:
            CursorError: the text is something else.
        """
        try:
            packed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (Base64Error, UnicodeEncodeError) as error:
            raise CursorError("it is not a cursor that this server has given out") from error
        if not packed or packed[0] != _VERSION or len(packed) > _MOST_BYTES:
            raise CursorError("it is not a cursor that this server has given out")
        if crc32(packed[:-_CHECK_BYTES]) != int.from_bytes(packed[-_CHECK_BYTES:], "big"):
            raise CursorError("it was cut or changed on its way")
        cursor, at, packed = cls(), 1, packed[:-_CHECK_BYTES]
        while at < len(packed):
            mark, (sequence, at) = packed[at : at + MARK_BYTES], _read_varint(packed, at + MARK_BYTES)
            cursor.sequences[mark] = sequence
        if cursor.encode() != text:
            raise CursorError("it was changed on its way")
        return cursor


def _varint(number: int) -> bytes:
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def _read_varint(packed: bytes, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    number, shift = 0, 0
    while at < len(packed):
        number |= (packed[at] & 0x7F) << shift
        at += 1
        if packed[at - 1] < 0x80:
            if number > _LAST:
                break
            return number, at
        shift += 7
    raise CursorError("it is cut off")
