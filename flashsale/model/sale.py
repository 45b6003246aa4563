"""The definition of a sale: what a brand announces, checked as a whole."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from flashsale.model import instants
from flashsale.model.currency import DECIMALS
from flashsale.model.faults import Fault, InvalidError, from_pydantic
from flashsale.model.schedule import Schedule, deposit, schedule

MAX_ITEMS: Final = 1000
MAX_UNITS: Final = 1_000_000_000
MAX_PRICE: Final = 1_000_000_000_000
MAX_AMOUNT: Final = 2**53 - 1
"""Minor units of one reservation: the largest integer that every JSON reader keeps exact."""
EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Instants are positive milliseconds inside, 0 stands for none, and any of them can be written in any time zone."""

PaymentMethod = Literal["card", "bank_transfer", "alipay", "paypal", "klarna"]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable text without spaces at its ends")
    return text


def _known_currency(code: str) -> str:
    if code not in DECIMALS:
        raise ValueError("must be a currency code of ISO 4217, such as EUR")
    return code


def _rfc3339(value: object) -> object:
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("must be an RFC 3339 instant with a time zone, such as 2026-11-22T10:00:00Z")
    return value


def _in_reach(instant: datetime) -> datetime:
    if not EARLIEST <= instant < LATEST:
        raise ValueError(f"must be in the years {EARLIEST.year} to {LATEST.year - 1}, in UTC")
    return instant


Sku = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Limit = Annotated[int, Field(ge=1, le=MAX_UNITS)]
Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_rfc3339), AfterValidator(_in_reach)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Item(_Strict):
    """One thing on sale."""

    sku: Sku = Field(description="The brand's own name of the item, unique within the sale.")
    title: Title | None = Field(None, description="What shoppers read; the sku when left out.")
    price: int = Field(ge=1, le=MAX_PRICE, description="Price of one unit in minor units of the currency.")
    stock: int = Field(ge=0, le=MAX_UNITS, description="Units for sale.")
    limit_per_customer: Limit | None = Field(None, description="Units of this item one customer may have.")


class Payment(_Strict):
    """How reservations are paid."""

    methods: list[PaymentMethod] = Field(
        default_factory=list,
        max_length=5,
        description="What customers may pay with; nothing else is offered, and without any nobody can pay.",
    )
    deposit_percent: int = Field(
        100,
        ge=1,
        le=100,
        description="Part of the price that is due at once, rounded half up to a minor unit, and at least one.",
    )
    instalments: int = Field(
        0,
        ge=0,
        le=120,
        description=(
            "Monthly rates for the rest, as equal as whole minor units allow: where the rest cannot be divided, "
            "the first rates have one unit more each until it adds up. 0: the rest is due on hand-over. "
            "With a deposit of 100 percent there is no rest, so it must be 0."
        ),
    )
    hold_extension_seconds: int = Field(
        0, ge=0, le=86_400, description="Starting a payment extends the hold by this, once in its life."
    )

    @field_validator("methods")
    @classmethod
    def _distinct(cls, methods: list[str]) -> list[str]:
        if len(set(methods)) < len(methods):
            raise ValueError("each may be named once")
        return methods

    @field_validator("instalments")
    @classmethod
    def _of_something(cls, instalments: int, info: ValidationInfo) -> int:
        if instalments and info.data.get("deposit_percent") == 100:
            raise ValueError("must be 0 with a deposit_percent of 100, which leaves no rest to pay in rates")
        return instalments


class SaleDefinition(_Strict):
    """What `PUT /v1/sales/{sale}` takes."""

    title: Title
    opens_at: Instant = Field(description="RFC 3339, with a time zone.")
    closes_at: Instant | None = Field(None, description="When left out, the sale is open until it is closed.")
    currency: Annotated[str, AfterValidator(_known_currency)] = Field(description="ISO 4217 code.")
    limit_per_customer: Limit | None = Field(
        None, description="Units one customer may have, of all items together."
    )
    hold_seconds: int = Field(300, ge=1, le=604_800, description="How long a reservation is held.")
    items: list[Item] = Field(min_length=1, max_length=MAX_ITEMS)
    payment: Payment = Payment()
    rehearsal: bool = Field(
        False,
        description=(
            "A rehearsal sells pretend stock: it is paid through the payment simulator whoever takes the shop's money, "
            "and order systems never see its orders."
        ),
    )

    @field_validator("closes_at")
    @classmethod
    def _after_opening(cls, closes_at: datetime | None, info: ValidationInfo) -> datetime | None:
        opens_at = info.data.get("opens_at")
        if closes_at is not None and opens_at is not None and closes_at <= opens_at:
            raise ValueError("must be after opens_at")
        return closes_at

    @property
    def opens_ms(self) -> int:
        """When the sale opens."""
        return instants.from_datetime(self.opens_at)

    @property
    def closes_ms(self) -> int:
        """0 when the sale has no end of its own."""
        return instants.from_datetime(self.closes_at) if self.closes_at else 0

    def canonical(self) -> bytes:
        """The definition as JSON in one form only, so that equal definitions are equal bytes.

        A sale that is no rehearsal does not mention it: earlier versions have stored it so, and know no such member.
        """
        return orjson.dumps(
            self.model_dump(exclude=None if self.rehearsal else {"rehearsal"}),
            default=_instant,
            option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME,
        )

    def amount(self, lines: tuple[tuple[str, int], ...]) -> int:
        """What the lines cost together, in minor units.

        Raises:
            KeyError: a line names an item the sale does not have.
        """
        prices = {item.sku: item.price for item in self.items}
        return sum(prices[sku] * units for sku, units in lines)

    def amount_due(self, amount: int) -> int:
        """The deposit, which is due at once, in minor units."""
        return deposit(amount, self.payment.deposit_percent)

    def schedule(self, amount: int) -> Schedule:
        """What of the amount is paid when."""
        return schedule(amount, self.payment.deposit_percent, self.payment.instalments)


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return instants.to_rfc3339(instants.from_datetime(value))
    raise TypeError(f"{type(value).__name__} has no canonical form")


def parse_definition(data: Any) -> SaleDefinition:
    """A definition from decoded JSON.

    Raises:
        InvalidError: with every fault.
    """
    faults = _repeated_skus(data)
    try:
        definition = SaleDefinition.model_validate(data)
    except ValidationError as error:
        raise InvalidError(from_pydantic(error) + faults) from None
    if faults:
        raise InvalidError(faults)
    return definition


def _repeated_skus(data: Any) -> list[Fault]:
    """Looks at the raw items, so that a repeated sku is named even when an item has another fault."""
    items = data.get("items") if isinstance(data, dict) else None
    faults: list[Fault] = []
    seen: set[str] = set()
    for index, item in enumerate(items if isinstance(items, list) else ()):
        sku = item.get("sku") if isinstance(item, dict) else None
        if isinstance(sku, str) and sku in seen:
            faults.append(Fault(("items", index, "sku"), "is used by another item"))
        elif isinstance(sku, str):
            seen.add(sku)
    return faults
