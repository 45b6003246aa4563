"""Settings: what is accepted, and that every fault is named at once and no secret is shown."""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from flashsale.settings import (
    SECRET_FIELDS,
    Settings,
    SettingsError,
    env_name,
    load_settings,
    option_name,
    remarks,
)

ROOT_KEY = "root-key-for-the-tests"
SHOPPER_SECRET = "shopper-secret-for-the-tests-0123456789"
SERVE = {
    "FLASHSALE_REDIS_URL": "redis://127.0.0.1:6379/0",
    "FLASHSALE_ROOT_KEY": ROOT_KEY,
    "FLASHSALE_SHOPPER_SECRET": SHOPPER_SECRET,
}


def public_pem(key: object) -> str:
    assert hasattr(key, "public_key")
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert isinstance(pem, bytes)
    return pem.decode()


def faults_of(env: dict[str, str], overrides: dict[str, object] | None = None, **needs: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(env, overrides, **needs)
    assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]
    return [str(fault) for fault in caught.value.faults]


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings({})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.data_dir == Path("flashsale-data")
    assert (settings.queue_limit, settings.batch_limit, settings.batches_in_flight) == (20_000, 512, 2)
    assert (settings.request_deadline_ms, settings.redis_timeout_ms) == (2_000, 2_000)
    assert (settings.drain_seconds, settings.sweep_interval_ms) == (10.0, 100)
    assert (settings.log_format, settings.log_level) == ("auto", "info")
    assert settings.url == "http://127.0.0.1:8080"
    assert not settings.guests
    assert not settings.embedded


def test_every_fault_is_named_at_once() -> None:
    env = {
        "FLASHSALE_REDIS_URL": "http://127.0.0.1",
        "FLASHSALE_EMBEDDED": "perhaps",
        "FLASHSALE_PORT": "eighty",
        "FLASHSALE_WORKERS": "0",
        "FLASHSALE_ROOT_KEY": "with spaces",
        "FLASHSALE_SHOPPER_PUBLIC_KEY": "/nowhere/key.pem",
        "FLASHSALE_GUESTS": "1",
        "FLASHSALE_LOG_LEVEL": "loud",
        "FLASHSALE_DRAIN_SECONDS": "-1",
    }
    faults = faults_of(env, purpose="serve")
    assert [fault.split(" ", 1)[0] for fault in faults] == [
        "FLASHSALE_EMBEDDED",
        "FLASHSALE_REDIS_URL",
        "FLASHSALE_PORT",
        "FLASHSALE_WORKERS",
        "FLASHSALE_ROOT_KEY",
        "FLASHSALE_SHOPPER_PUBLIC_KEY",
        "FLASHSALE_GUESTS",
        "FLASHSALE_LOG_LEVEL",
        "FLASHSALE_DRAIN_SECONDS",
    ]
    assert "FLASHSALE_PORT (--port) must be a whole number" in faults


def test_serving_without_secrets_is_refused_and_says_which() -> None:
    assert faults_of({}, purpose="serve") == [
        "FLASHSALE_REDIS_URL (--redis-url) is not set: name a Redis, or start one of our own with --embedded",
        "FLASHSALE_ROOT_KEY is not set: it is the API key that creates the others",
        (
            "FLASHSALE_SHOPPER_SECRET is not set, nor is FLASHSALE_SHOPPER_PUBLIC_KEY: "
            "shoppers' tokens need one of them"
        ),
    ]


@pytest.mark.parametrize("missing", sorted(SERVE))
def test_serving_needs_each_of_its_settings(missing: str) -> None:
    assert load_settings(SERVE, purpose="serve").root_key is not None
    env = {name: value for name, value in SERVE.items() if name != missing}
    assert [fault.split(" ", 1)[0] for fault in faults_of(env, purpose="serve")] == [missing]
    # An empty variable is one that is not set.
    assert [fault.split(" ", 1)[0] for fault in faults_of({**SERVE, missing: ""}, purpose="serve")] == [
        missing
    ]


def test_work_and_client_commands_need_no_secrets() -> None:
    assert load_settings({"FLASHSALE_REDIS_URL": "redis://h"}, purpose="work").root_key is None
    assert load_settings({}, purpose="client").redis_url is None


def test_guests_need_the_secret_that_signs_them() -> None:
    env = {"FLASHSALE_GUESTS": "1", "FLASHSALE_SHOPPER_PUBLIC_KEY": public_pem(Ed25519PrivateKey.generate())}
    assert faults_of(env) == [
        "FLASHSALE_GUESTS (--guests) needs FLASHSALE_SHOPPER_SECRET, which signs the guests' tokens"
    ]
    assert load_settings({**env, "FLASHSALE_SHOPPER_SECRET": SHOPPER_SECRET}).guests


def test_an_option_wins_over_its_variable() -> None:
    settings = load_settings(
        {**SERVE, "FLASHSALE_PORT": "1"}, {"port": "2", "workers": None}, purpose="serve"
    )
    assert (settings.port, settings.workers) == (2, 1)


def test_naming_a_redis_and_embedding_one_exclude_each_other() -> None:
    both = {**SERVE, "FLASHSALE_EMBEDDED": "1"}
    assert [fault.split(" ", 1)[0] for fault in faults_of(both, purpose="serve")] == ["FLASHSALE_REDIS_URL"]
    # Said on the command line, one displaces the other of the environment.
    assert load_settings(SERVE, {"embedded": "1"}, purpose="serve").redis_url is None
    env = {**SERVE, "FLASHSALE_REDIS_URL": "", "FLASHSALE_EMBEDDED": "1"}
    assert not load_settings(env, {"redis_url": "redis://h"}, purpose="serve").embedded


def test_names_that_are_no_settings_are_remarked_on() -> None:
    env = {
        **SERVE,
        "FLASHSALE_port": "1",
        "FLASHSALE_REDIS_TIMEOUT": "5",
        "FLASHSALE_NONSENSE": "1",
        "FLASHSALE_TEST_SERVER": "x",
        "FLASHSALES": "x",
    }
    assert remarks(load_settings(env, purpose="serve"), env) == [
        "FLASHSALE_NONSENSE is not a setting",
        "FLASHSALE_REDIS_TIMEOUT is not a setting; did you mean FLASHSALE_REDIS_TIMEOUT_MS?",
        "FLASHSALE_port is not a setting; did you mean FLASHSALE_PORT?",
    ]


def test_secrets_that_can_be_guessed_are_remarked_on() -> None:
    env = {**SERVE, "FLASHSALE_ROOT_KEY": "root", "FLASHSALE_SHOPPER_SECRET": "secret"}
    settings = load_settings(env, purpose="serve")
    assert remarks(settings, env) == [
        "FLASHSALE_ROOT_KEY should have at least 16 characters",
        "FLASHSALE_SHOPPER_SECRET should have at least 32 bytes",
    ]


@pytest.mark.parametrize("key", ["-----BEGIN PUBLIC KEY-----", "ssh-ed25519 AAAA", '{"kty": "oct"}'])
def test_a_key_of_another_kind_is_no_secret(key: str) -> None:
    (fault,) = faults_of({"FLASHSALE_SHOPPER_SECRET": key})
    assert fault.startswith("FLASHSALE_SHOPPER_SECRET is a key in PEM, SSH or JWK form")


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://user:p%40ss@h:6380/2",
        "rediss://:secret@h:6380/0",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379/0",
    ],
)
def test_addresses_of_redis_that_are_accepted(url: str) -> None:
    assert load_settings({"FLASHSALE_REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    "url", ["h:6379", "http://h", "redis://h:port", "redis://h/first", "unix://", "redis://[::1"]
)
def test_addresses_of_redis_that_are_not(url: str) -> None:
    (fault,) = faults_of({"FLASHSALE_REDIS_URL": url})
    assert fault.startswith("FLASHSALE_REDIS_URL (--redis-url) ")


def test_a_public_key_is_pem_text_or_its_file(tmp_path: Path) -> None:
    pem = public_pem(Ed25519PrivateKey.generate())
    file = tmp_path / "a key.pem"
    file.write_text(pem)
    name = "FLASHSALE_SHOPPER_PUBLIC_KEY"
    assert load_settings({name: pem}).shopper_public_key == pem
    assert load_settings({name: pem.replace("\n", "\\n")}).shopper_public_key == pem
    assert load_settings({name: str(file)}).shopper_public_key == pem
    file.write_text(public_pem(generate_private_key(SECP256R1())))
    assert faults_of({name: str(file)})[0].endswith("holds a public key that is not Ed25519")
    file.write_text("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
    assert faults_of({name: str(file)})[0].endswith("does not hold a public key in PEM form")


def test_no_secret_is_shown() -> None:
    env = {
        **SERVE,
        "FLASHSALE_REDIS_URL": "redis://user:redis-password@h/0",
        "FLASHSALE_API_KEY": "api-key-for-the-tests",
    }
    settings = load_settings(env, purpose="serve")
    secrets = {ROOT_KEY, SHOPPER_SECRET, "redis-password", "api-key-for-the-tests"}
    assert settings.secret_values() == secrets
    assert not [secret for secret in secrets if secret in f"{settings!r} {settings}"]


@pytest.mark.parametrize("field", sorted(SECRET_FIELDS))
def test_no_fault_shows_a_secret_and_no_option_takes_one(field: str) -> None:
    assert option_name(field) is None
    env = {env_name(field): "sücret", "FLASHSALE_REDIS_URL": "http://:sücret@h", "FLASHSALE_PORT": "sücret"}
    assert "sücret" not in "".join(faults_of(env))


def test_the_api_key_of_the_client_falls_back_to_the_root_key() -> None:
    settings = load_settings({"FLASHSALE_ROOT_KEY": ROOT_KEY})
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == ROOT_KEY


@given(
    port=st.integers(0, 65535),
    workers=st.integers(1, 256),
    drain=st.floats(0, 3600),
    embedded=st.booleans(),
    data_dir=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    secret=st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda text: not text.lstrip().startswith(("-----BEGIN", "ssh-", "{"))
    ),
)
def test_settings_survive_the_way_through_the_environment(
    port: int, workers: int, drain: float, embedded: bool, data_dir: str, secret: str | None
) -> None:
    settings = Settings.model_validate(
        {
            "port": port,
            "workers": workers,
            "drain_seconds": drain,
            "embedded": embedded,
            "data_dir": data_dir,
            "shopper_secret": secret,
        }
    )
    assert load_settings(settings.to_env()) == settings


def test_the_environment_of_this_process_is_not_read() -> None:
    before = dict(os.environ)
    os.environ["FLASHSALE_PORT"] = "1"
    try:
        assert load_settings({}).port == 8080
    finally:
        os.environ.clear()
        os.environ.update(before)
