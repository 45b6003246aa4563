"""Settings: `FLASHSALE_*` environment variables and command-line options, checked once, at start.

`load_settings` answers a frozen `Settings` or raises one `SettingsError` that names every fault at once, each
by its environment variable and its command-line option. An option overrides its environment variable. An
empty variable counts as not set. `remarks` tells what can be used but had better be changed.

No message and no `repr` ever shows the value of a secret.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from flashsale.settings.checks import (
    check_http_url,
    check_redis_url,
    check_root_key,
    check_shopper_secret,
    is_true,
    load_public_key,
)
from flashsale.settings.cors import CorsSettings
from flashsale.settings.orders import OrderSettings
from flashsale.settings.pages import PageSettings
from flashsale.settings.payments import PaymentSettings
from flashsale.settings.simulator import SimulatorSettings
from flashsale.settings.stripe import StripeSettings, missing_of_stripe

ENV_PREFIX = "FLASHSALE_"
TEST_ENV_PREFIX = "FLASHSALE_TEST_"  # read by the test suite only, never by the product
SECRET_FIELDS = frozenset(
    {
        "root_key",
        "shopper_secret",
        "api_key",
        "simulator_secret",
        "stripe_secret_key",
        "stripe_webhook_secret",
    }
)

SAFE_ROOT_KEY_CHARACTERS = 16
SAFE_SHOPPER_SECRET_BYTES = 32  # RFC 7518 section 3.2: an HS256 key has at least the 256 bits of the hash

Purpose = Literal["serve", "work", "simulator", "client", "pages"]


def env_name(field: str) -> str:
    """The environment variable of a settings field: `redis_url` is `FLASHSALE_REDIS_URL`."""
    return ENV_PREFIX + field.upper()


def option_name(field: str) -> str | None:
    """The command-line option of a field; None for a secret: every local user can read an argument list."""
    if field in SECRET_FIELDS:
        return None
    return "--" + field.replace("_", "-")


class Settings(PaymentSettings, SimulatorSettings, StripeSettings, OrderSettings, PageSettings, CorsSettings):
    """Everything a process of ours can be told. Instants and lengths carry their unit in the name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_url: Annotated[str, AfterValidator(check_redis_url)] | None = Field(
        default=None,
        repr=False,
        description=(
            "Redis 7+ or Valkey 8+ to use: redis://, rediss:// (TLS) or unix://. "
            "With a password, better by the variable: others can read an argument."
        ),
    )
    data_dir: Path = Field(
        default=Path("flashsale-data"), description="Where the embedded Valkey keeps its data."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    workers: int = Field(default=1, ge=1, le=256, description="HTTP worker processes.")

    root_key: Annotated[SecretStr, AfterValidator(check_root_key)] | None = Field(
        default=None, description="API key that may do everything and creates the others."
    )
    shopper_secret: Annotated[SecretStr, AfterValidator(check_shopper_secret)] | None = Field(
        default=None, description="Secret that signs shoppers' tokens (HS256)."
    )
    shopper_public_key: Annotated[str, AfterValidator(load_public_key)] | None = Field(
        default=None,
        repr=False,
        description="Public key that verifies shoppers' tokens (Ed25519): PEM text or its file.",
    )
    guests: bool = Field(default=False, description="Let anyone have a guest token (for demonstrations).")

    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Form of the log; auto is console on a terminal, otherwise JSON."
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="Least level that is logged."
    )

    fast_lane: bool = Field(
        default=True, description="Answer plain requests to reserve without aiohttp, which takes longer."
    )
    queue_limit: int = Field(
        default=20_000, ge=1, le=10_000_000, description="Reservations waiting in a worker, at most."
    )
    batch_limit: int = Field(
        default=512, ge=1, le=1_000, description="Reservations in one script call, at most."
    )
    batches_in_flight: int = Field(
        default=2, ge=1, le=64, description="Batches of a sale on their way at once, at most."
    )
    request_deadline_ms: int = Field(
        default=2_000,
        ge=1,
        le=600_000,
        description="Milliseconds a reservation may wait before it is answered busy.",
    )
    redis_timeout_ms: int = Field(
        default=2_000, ge=1, le=600_000, description="Milliseconds to wait for Redis."
    )
    drain_seconds: float = Field(
        default=10.0,
        ge=0,
        le=3_600,
        allow_inf_nan=False,
        description="Seconds that requests in flight have to end.",
    )
    sweep_interval_ms: int = Field(
        default=100, ge=1, le=60_000, description="Milliseconds between two looks for holds that have ended."
    )

    keep_attempts: bool = Field(
        default=True, description="Note refused tries to reserve, so that support can tell somebody why not."
    )

    url: Annotated[str, AfterValidator(check_http_url)] = Field(
        default="http://127.0.0.1:8080", description="Server that the client commands talk to."
    )
    api_key: SecretStr | None = Field(
        default=None, description="API key of the client commands; without it the root key is used."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_api_key(cls, values: Any) -> Any:
        if (
            isinstance(values, Mapping)
            and values.get("api_key") is None
            and values.get("root_key") is not None
        ):
            return {**values, "api_key": values["root_key"]}
        return values

    def with_archive(self) -> "Settings":
        """These settings with the archive that whoever does the background work keeps unless told otherwise."""
        if self.archive is not None:
            return self
        file = self.data_dir.resolve() / "archive.db"
        return self.model_copy(update={"archive": f"sqlite:///{file}"})

    def to_env(self) -> dict[str, str]:
        """These settings as environment variables, secrets included: how a parent tells its children."""
        env = {}
        for field in type(self).model_fields:
            value = getattr(self, field)
            if value is None:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            env[env_name(field)] = str(int(value)) if isinstance(value, bool) else str(value)
        return env

    def secret_values(self) -> frozenset[str]:
        """Every secret in use, the password of the Redis address included, for the log to keep out."""
        secrets = {
            value.get_secret_value() for field in SECRET_FIELDS if (value := getattr(self, field)) is not None
        }
        for url in (self.redis_url, self.archive):
            if url is None:
                continue
            parts = urlsplit(url)
            for password in [parts.password, *parse_qs(parts.query).get("password", [])]:
                if password:
                    secrets |= {password, unquote(password)}
        return frozenset(secrets)


PLAIN_DETAILS = {
    "bool_parsing": "must be 0 or 1",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the settings: the variable, and a detail that reads on from its name."""

    name: str
    detail: str

    @property
    def field(self) -> str | None:
        """The field that the variable sets; None when there is no such setting."""
        field = self.name.removeprefix(ENV_PREFIX).lower()
        return field if field in Settings.model_fields and self.name == env_name(field) else None

    def __str__(self) -> str:
        option = option_name(self.field) if self.field else None
        return f"{self.name}{f' ({option})' if option else ''} {self.detail}"


class SettingsError(Exception):
    """The settings cannot be used; `faults` holds every reason, in the order of the fields."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def load_settings(
    env: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    *,
    purpose: Purpose | None = None,
) -> Settings:
    """Build the settings from the environment and the options given on the command line.

    `overrides` maps field names to values; None means that the option was not given. `purpose` adds what a
    command cannot do without: `serve` needs its secrets, `serve` and `work` need to know which Redis; `pages` needs
    neither.
    Raises `SettingsError`.
    """
    given = {field: value for field, value in (overrides or {}).items() if value is not None}
    values = _read_env(env)
    faults: list[Fault] = []
    if given.get("embedded") and "redis_url" not in given:
        values.pop("redis_url", None)
    if "redis_url" in given and "embedded" not in given:
        values.pop("embedded", None)
    values.update(given)

    settings = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += [
            _fault_of(item["loc"], item["msg"], item["type"]) for item in error.errors(include_input=False)
        ]
    # A missing companion is named together with the faults of the values that are there.
    faults += _missing(
        values, _truth(settings, values, "guests"), _truth(settings, values, "embedded"), purpose
    )
    if settings is None or faults:
        place = {field: index for index, field in enumerate(Settings.model_fields)}
        raise SettingsError(sorted(faults, key=lambda fault: place.get(fault.field or "", len(place))))
    return settings


def remarks(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """What a server should say at its start: variables that are no settings, and secrets that can be guessed.

    None of it keeps the server from starting: a newer version may know the variable, and a demonstration on one's own
    machine may do with a short secret.
    """
    found = []
    for name in sorted(env):
        field = name.removeprefix(ENV_PREFIX).lower()
        ours = name.startswith(ENV_PREFIX) and not name.startswith(TEST_ENV_PREFIX)
        if ours and (field not in Settings.model_fields or name != env_name(field)):
            found.append(str(Fault(name, _unknown_detail(field))))
    key, secret = settings.root_key, settings.shopper_secret
    if key is not None and len(key.get_secret_value()) < SAFE_ROOT_KEY_CHARACTERS:
        found.append(f"{env_name('root_key')} should have at least {SAFE_ROOT_KEY_CHARACTERS} characters")
    if secret is not None and len(secret.get_secret_value().encode()) < SAFE_SHOPPER_SECRET_BYTES:
        found.append(f"{env_name('shopper_secret')} should have at least {SAFE_SHOPPER_SECRET_BYTES} bytes")
    return found


def _read_env(env: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name in sorted(env):
        if not name.startswith(ENV_PREFIX) or name.startswith(TEST_ENV_PREFIX):
            continue
        field = name.removeprefix(ENV_PREFIX).lower()
        if field not in Settings.model_fields or name != env_name(field):
            continue  # `remarks` names it
        if env[name] != "":
            values[field] = env[name]
    return values


def _unknown_detail(field: str) -> str:
    close = difflib.get_close_matches(field, Settings.model_fields, n=1, cutoff=0.6)
    hint = f"; did you mean {env_name(close[0])}?" if close else ""
    return f"is not a setting{hint}"


def _fault_of(location: tuple[int | str, ...], message: str, kind: str) -> Fault:
    field = str(location[0]) if location else ""
    if kind == "extra_forbidden":
        return Fault(env_name(field), _unknown_detail(field))
    detail = PLAIN_DETAILS.get(kind) or message.removeprefix("Value error, ")
    if detail.startswith("Input should be "):
        detail = "must be " + detail.removeprefix("Input should be ")
    return Fault(env_name(field), detail)


def _truth(settings: Settings | None, values: Mapping[str, object], field: str) -> bool:
    """Whether a switch is on, also when another value's fault keeps `settings` from being built."""
    if settings is not None:
        return bool(getattr(settings, field))
    return is_true(values.get(field))


def _missing(
    values: Mapping[str, object], guests: bool, embedded: bool, purpose: Purpose | None
) -> list[Fault]:
    """What is not there and has to be, given what else is."""
    missing = []
    if guests and "shopper_secret" not in values and purpose != "pages":
        missing.append(("guests", f"needs {env_name('shopper_secret')}, which signs the guests' tokens"))
    if purpose in {"serve", "work"}:
        if embedded and "redis_url" in values:
            missing.append(
                ("redis_url", f"and {env_name('embedded')} (--embedded) are both given: choose one")
            )
        if not embedded and "redis_url" not in values:
            missing.append(("redis_url", "is not set: name a Redis, or start one of our own with --embedded"))
    if purpose == "serve":
        if "root_key" not in values:
            missing.append(("root_key", "is not set: it is the API key that creates the others"))
        if "shopper_secret" not in values and "shopper_public_key" not in values:
            other = env_name("shopper_public_key")
            missing.append(
                ("shopper_secret", f"is not set, nor is {other}: shoppers' tokens need one of them")
            )
    missing += _missing_of_simulator(values, embedded, purpose)
    if purpose in {"serve", "work"}:
        missing += missing_of_stripe(values)
    return [Fault(env_name(field), detail) for field, detail in missing]


def _missing_of_simulator(
    values: Mapping[str, object], embedded: bool, purpose: Purpose | None
) -> list[tuple[str, str]]:
    """What a simulator that runs by itself cannot be reached without."""
    if "simulator_url" in values and "simulator_secret" not in values:
        return [("simulator_secret", f"is not set: the simulator of {env_name('simulator_url')} asks for it")]
    if purpose == "simulator" and "simulator_secret" not in values:
        return [
            ("simulator_secret", "is not set: the shop shows it with every call, and it signs the webhooks")
        ]
    wanted = values.get("payment_provider") == "simulator" and not embedded
    if wanted and "simulator_url" not in values and purpose in {"serve", "work"}:
        return [("simulator_url", "is not set: name a simulator, or start one of our own with --embedded")]
    return []
