"""Settings of payments: who takes the money, and how the jobs around it are done."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class PaymentSettings(BaseModel):
    """The part of `flashsale.settings.Settings` that is about payments."""

    embedded: bool = Field(
        default=False, description="Start a Valkey server of our own in the data directory."
    )

    payment_provider: Literal["none", "simulator", "stripe"] | None = Field(
        default=None,
        description=(
            "Who takes the money: none, simulator (nobody is charged) or stripe. "
            "Left out: simulator with --embedded, otherwise none."
        ),
    )
    shop: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        default="flashsale",
        description="Name of this shop on the provider's account; payments of other shops there are left alone.",
    )
    payment_queue_limit: int = Field(
        default=100_000, ge=1, le=10_000_000, description="Payments of a sale waiting in its queue, at most."
    )
    payment_tries: int = Field(
        default=20, ge=1, le=100, description="Times a payment job is tried before it is put aside as dead."
    )
    payment_claim_ms: int = Field(
        default=30_000,
        ge=100,
        le=3_600_000,
        description="Milliseconds after which a job of a worker that died is taken by another.",
    )
    reconcile_seconds: int = Field(
        default=300,
        ge=0,
        le=86_400,
        description="Seconds between two comparisons with the provider's own books; 0 for none.",
    )

    @property
    def provider(self) -> str:
        """Name of the provider that new payments go to; `none` when the shop takes none."""
        return self.payment_provider or ("simulator" if self.embedded else "none")
