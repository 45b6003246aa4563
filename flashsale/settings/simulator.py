"""Settings of the simulator: how the shop reaches it, and how it behaves itself."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from flashsale.settings.checks import check_http_url, check_root_key

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class SimulatorSettings(BaseModel):
    """The part of `flashsale.settings.Settings` that is about the simulated payment provider.

    The faults default to none at all. Each is drawn from the seed and the payment's idempotency key, so that a run can be
    repeated in any order.
    """

    simulator_url: Annotated[str, AfterValidator(check_http_url)] | None = Field(
        default=None,
        description="Address of a simulator that runs; left out, serve --embedded starts one of its own.",
    )
    simulator_secret: Annotated[SecretStr, AfterValidator(check_root_key)] | None = Field(
        default=None, description="Secret that the shop shares with the simulator, for calls and webhooks."
    )
    simulator_rate: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Calls a second that the simulator is sent; 0 for any number.",
    )
    simulator_tolerance_seconds: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="Seconds after which the signature of its webhook is too old.",
    )

    simulator_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address that the simulator listens on."
    )
    simulator_port: int = Field(
        default=0, ge=0, le=65535, description="Port that the simulator listens on; 0 takes any free one."
    )
    simulator_public_url: Annotated[str, AfterValidator(check_http_url)] | None = Field(
        default=None,
        description="Address at which shoppers reach the simulator's page; left out, where it listens.",
    )
    simulator_webhook_url: Annotated[str, AfterValidator(check_http_url)] | None = Field(
        default=None,
        description="Where the simulator sends its webhooks: .../v1/payments/simulator/events; left out, nowhere.",
    )
    simulator_file: Path | None = Field(
        default=None,
        description="File in which the simulator keeps its books; left out, they are gone when it ends.",
    )

    simulator_seed: int = Field(
        default=1, ge=0, lt=1 << 63, description="Seed of the simulator's faults and identifiers."
    )
    simulator_latency_ms: int = Field(
        default=0, ge=0, le=600_000, description="Milliseconds that each answer of the simulator takes."
    )
    simulator_jitter_ms: int = Field(
        default=0, ge=0, le=600_000, description="Milliseconds that an answer may take on top of that."
    )
    simulator_decline_percent: Percent = Field(
        default=0.0, description="Share of payments without a wished outcome that are declined."
    )
    simulator_outage_percent: Percent = Field(default=0.0, description="Share of calls answered 503.")
    simulator_outage_every_seconds: Seconds = Field(
        default=0.0, description="Seconds from one outage to the next; 0 for none."
    )
    simulator_outage_seconds: Seconds = Field(
        default=0.0, description="Seconds that each such outage lasts: every call is answered 503."
    )
    simulator_timeout_percent: Percent = Field(
        default=0.0, description="Share of calls that are carried out but never answered."
    )
    simulator_refund_fail_percent: Percent = Field(
        default=0.0, description="Share of payments whose first two refunds are answered 500."
    )
    simulator_refund_bounce_percent: Percent = Field(
        default=0.0, description="Share of payments whose first refund is accepted and fails later."
    )
    simulator_duplicate_percent: Percent = Field(default=0.0, description="Share of webhooks sent twice.")
    simulator_reorder_percent: Percent = Field(
        default=0.0, description="Share of webhooks sent after a later one of the same payment."
    )
    simulator_reorder_seconds: Seconds = Field(
        default=1.0, description="Seconds that such a webhook waits for a later one, at most."
    )
    simulator_delay_percent: Percent = Field(default=0.0, description="Share of webhooks sent late.")
    simulator_delay_seconds: Seconds = Field(
        default=5.0, description="Seconds by which those are late; more than a hold lasts, if you like."
    )
    simulator_lose_percent: Percent = Field(default=0.0, description="Share of webhooks never sent.")
