"""docker-compose.yml: valid, bound together rightly, and each service starts by its own command line."""

import json
import re
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.packaging.checkout import ROOT
from tests.packaging.compose import (
    InterpolationError,
    Stack,
    interpolated,
    make_stack,
    parse,
    read_env_file,
)
from tests.packaging.sale import ask, audit, reserve_one

SERVICES = ("server", "valkey", "worker")
LOAD = ("load-master", "load-simulator", "load-worker")
OURS = ("server", "worker", *LOAD)


@pytest.fixture
def services(variables: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = parse(variables)["services"]
    return found


def test_it_is_a_compose_file_with_three_services_and_three_that_load_them(services: dict[str, Any]) -> None:
    assert sorted(services) == sorted((*SERVICES, *LOAD))
    assert {name: services[name].get("profiles") for name in services} == {
        **dict.fromkeys(SERVICES),
        **{name: ["load"] for name in LOAD},
    }


@pytest.mark.parametrize("secret", ["VALKEY_PASSWORD", "FLASHSALE_ROOT_KEY"])
def test_no_secret_has_a_default(variables: dict[str, str], secret: str) -> None:
    example = read_env_file(ROOT / ".env.example")
    assert example[secret] == ""
    with pytest.raises(InterpolationError, match=f"{secret}: put it in .env"):
        parse({**variables, secret: ""})


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("healthcheck:", "heathcheck:"),
        ("condition: service_healthy", "condition: healthy"),
        ("restart: unless-stopped", "restart: sometimes"),
        ("networks: [store]", "networks: [nowhere]"),
    ],
)
def test_the_parser_minds_what_it_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, right: str, wrong: str
) -> None:
    # The tests here are worth what the parser is.
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "docker-compose.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    monkeypatch.setattr("tests.packaging.compose.ROOT", tmp_path)
    with pytest.raises(ValueError, match=wrong.rsplit(maxsplit=1)[-1].strip("[]:")):
        parse({"VALKEY_PASSWORD": "a", "FLASHSALE_ROOT_KEY": "b"})


def test_every_volume_that_is_used_is_declared(variables: dict[str, str]) -> None:
    compose = parse(variables)
    used = {v.split(":")[0] for service in compose["services"].values() for v in service.get("volumes", [])}
    assert used == set(compose["volumes"])


def test_variables_are_resolved_as_compose_does() -> None:
    given = {"A": "1", "EMPTY": ""}
    assert interpolated(["$$x ${A} ${EMPTY}", {"k": "${B:-2}${EMPTY:-3}"}, 4], given) == [
        "$x 1 ",
        {"k": "23"},
        4,
    ]
    for wrong in ("${EMPTY:?say it}", "$A"):
        with pytest.raises(InterpolationError):
            interpolated(wrong, given)


@pytest.mark.parametrize("name", [*SERVICES, "load-simulator"])
def test_every_service_has_a_health_check_and_comes_back(services: dict[str, Any], name: str) -> None:
    assert services[name]["healthcheck"]["test"][0] == "CMD"
    assert services[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["server", "worker"])
def test_our_services_find_valkey_and_wait_for_it(services: dict[str, Any], name: str) -> None:
    service = services[name]
    host = urlsplit(service["environment"]["FLASHSALE_REDIS_URL"]).hostname
    assert host in services
    assert service["depends_on"][host]["condition"] == "service_healthy"
    assert set(service["networks"]) & set(services[host]["networks"])


@pytest.mark.parametrize("name", OURS)
def test_our_services_may_do_nothing_they_need_not(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    build = service.get("build") or services["server"]["build"]
    assert service.get("build") or service["image"] == services["server"]["image"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    assert build.get("target") == ("load" if service["image"].startswith("flashsale-load") else None)


@pytest.mark.parametrize("name", LOAD)
def test_those_that_load_see_the_server_from_outside(services: dict[str, Any], name: str) -> None:
    assert services[name]["networks"] == ["edge"]
    assert "edge" in services["server"]["networks"]
    assert "env_file" not in services[name]  # it has the password of Valkey


def test_nothing_but_the_server_and_the_web_page_of_locust_is_published_and_that_on_loopback(
    services: dict[str, Any],
) -> None:
    assert {name for name in services if services[name].get("ports")} == {"server", "load-master"}
    (page,) = services["load-master"]["ports"]
    web = services["load-master"]["command"]
    assert page == f"127.0.0.1:8089:{web[web.index('--web-port') + 1]}"
    (port,) = services["server"]["ports"]
    command = services["server"]["command"]
    assert port == f"127.0.0.1:8080:{command[command.index('--port') + 1]}"


def test_valkey_keeps_what_it_answers(services: dict[str, Any], stack: Stack) -> None:
    (volume,) = services["valkey"]["volumes"]
    command = services["valkey"]["command"]
    assert volume == f"valkey-data:{command[command.index('--dir') + 1]}"
    stack.start("valkey")
    stack.wait_healthy("valkey")
    (stack.folder / "client.py").write_text(
        "import json, sys, redis\n"
        "r = redis.Redis(port=int(sys.argv[1]), password=sys.argv[2], decode_responses=True)\n"
        "print(json.dumps(r.config_get('append*') | r.config_get('maxmemory*') | r.config_get('save')))\n"
    )
    config = json.loads(
        stack.run_python("client.py", str(stack.ports["valkey"].port), stack.env_file["VALKEY_PASSWORD"])
    )
    assert (config["appendonly"], config["appendfsync"], config["save"]) == ("yes", "always", "")
    assert (config["maxmemory"], config["maxmemory-policy"]) == (str(2**30), "noeviction")


def test_valkey_is_not_healthy_without_its_password(stack: Stack) -> None:
    stack.start("valkey")
    stack.wait_healthy("valkey")
    stack.services["valkey"]["environment"]["VALKEYCLI_AUTH"] = "another"
    assert not stack.healthy("valkey")


async def test_every_service_runs_and_is_healthy(stack: Stack) -> None:
    assert not stack.healthy("valkey")
    stack.start("valkey")
    stack.wait_healthy("valkey")
    for name in (
        "server",
        "worker",
    ):  # the worker compares Valkey with the archive, and only then the server serves
        assert not stack.healthy(name) or name == "worker"  # the worker's check asks whether Valkey is there
        stack.start(name)
    for name in ("server", "worker"):
        stack.wait_healthy(name)

    url = stack.server_url
    root_key = stack.env_file["FLASHSALE_ROOT_KEY"]
    reservation = await reserve_one(url, root_key, stack.env_file["FLASHSALE_SHOPPER_SECRET"])
    assert reservation["status"] == "held"

    # The volume outlives the container: what was answered is there after Valkey was killed and started again.
    stack.stop("valkey", signal.SIGKILL)
    assert not stack.healthy("server")
    stack.start("valkey")
    for name in ("valkey", "server", "worker"):
        stack.wait_healthy(name)
    status, sale = await ask("GET", f"{url}/v1/sales/packaging")
    assert (status, sale["items"][0]["available"]) == (200, 2)
    assert (await audit(url, root_key))["ok"] is True

    for name in ("worker", "server", "valkey"):
        assert stack.stop(name) == 0
        assert not any(secret in stack.log(name).read_text() for secret in stack.env_file.values())
        assert not [
            *(stack.folder / f"cwd-{name}").iterdir()
        ]  # a read-only file system would have refused it


def test_the_server_refuses_to_start_without_its_secrets(stack: Stack) -> None:
    stack.env_file["FLASHSALE_SHOPPER_SECRET"] = ""
    stack.start("server")
    assert stack.processes["server"].wait(timeout=60) == 2
    assert re.search("FLASHSALE_SHOPPER_SECRET", stack.log("server").read_text())


@pytest.mark.long
async def test_the_profile_load_rehearses_and_its_exit_code_is_the_verdict(
    variables: dict[str, str], tmp_path: Path
) -> None:
    """As `docker compose --profile load up --scale load-worker=2 --exit-code-from load-master` without a browser."""
    rehearsal = {
        "FLASHSALE_SIMULATOR_URL": "http://load-simulator:8081",
        "FLASHSALE_SIMULATOR_SECRET": "s" * 64,
        "LOAD_HEADLESS": "true",
        "LOAD_USERS": "60",
        "LOAD_SPAWN_RATE": "60",
        "LOAD_UNITS": "10",
        "LOAD_WORKERS": "2",
    }
    stack = make_stack({**variables, **rehearsal}, tmp_path)
    try:
        for name in ("valkey", "worker", "server", "load-simulator"):
            stack.start(name)
        for name in ("valkey", "server", "worker", "load-simulator"):
            stack.wait_healthy(name)
        # A soft level of its own: two CPUs do all of it at once.
        stack.start("load-master", FLASHSALE_LOAD_HOLD_SECONDS="20", FLASHSALE_LOAD_THINK_SECONDS="0.3")
        for number in (1, 2):
            stack.start("load-worker", f"load-worker-{number}")
        code = stack.processes["load-master"].wait(timeout=240)
        assert code == 0, stack.log("load-master").read_text()[-3000:]
        found = json.loads((tmp_path / "report" / "report.json").read_text())
        assert (found["verdict"]["ok"], found["run"]["rehearsal"], len(found["processes"])) == (True, True, 2)
        assert (found["run"]["shoppers"], found["figures"]["sales"]) == (60, 10)
        assert (tmp_path / "report" / "report.html").is_file()
        url, key = stack.server_url, stack.env_file["FLASHSALE_ROOT_KEY"]
        status, feed = await ask("GET", f"{url}/v1/orders", key)
        assert (status, feed["events"]) == (200, [])
        for name in ("load-worker-1", "load-worker-2"):
            assert stack.processes.pop(name).wait(timeout=60) == 0
        said = [stack.log(name).read_text() for name in ("load-master", "load-worker-1", "server", "worker")]
        assert not any(
            secret in text for text in said for secret in (key, rehearsal["FLASHSALE_SIMULATOR_SECRET"])
        )
    finally:
        stack.close()


def test_a_simulator_without_its_secret_says_so(stack: Stack) -> None:
    stack.start("load-simulator")
    assert stack.processes["load-simulator"].wait(timeout=60) == 2
    assert "FLASHSALE_SIMULATOR_SECRET" in stack.log("load-simulator").read_text()
