"""Settings of what goes out: the archive, the order feed, webhooks."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from flashsale.settings.checks import check_archive


class OrderSettings(BaseModel):
    """The part of `flashsale.settings.Settings` that is about orders on their way to others."""

    archive: Annotated[str, AfterValidator(check_archive)] | None = Field(
        default=None,
        repr=False,
        description=(
            "Database that keeps every fact: sqlite:///FILE, postgresql://USER@HOST/NAME, or none. Without it "
            "the background work keeps an SQLite file in the data directory. "
            "With a password, better by the variable: others can read an argument."
        ),
    )
    retention_days: float = Field(
        default=0,
        ge=0,
        le=36_500,
        allow_inf_nan=False,
        description="Days that archived facts stay in Redis too; 0 for ever.",
    )
    work_only: Literal["all", "payments", "orders"] = Field(
        default="all",
        description="Part of the background work to do: payments (and holds that end), orders (going out), or all.",
    )
    webhook_private_networks: bool = Field(
        default=False, description="Let webhooks go to addresses in private networks, this machine included."
    )
    webhook_timeout_ms: int = Field(
        default=15_000,
        ge=100,
        le=120_000,
        description="Milliseconds a webhook's receiver may take to answer.",
    )
    webhook_days: float = Field(
        default=5,
        gt=0,
        le=60,
        allow_inf_nan=False,
        description="Days that a webhook is tried before it is switched off.",
    )

    @property
    def archive_url(self) -> str | None:
        """The archive in use; None when there is none. Who starts the work has resolved the default by then."""
        return None if self.archive in {None, "none"} else self.archive
