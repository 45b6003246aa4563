"""docker-compose.yml without a container engine: read by the rules of the format, each service a process.

What a container would give a service is put in its place: host names become loopback addresses, `/data` a
temporary folder, and the environment holds what the file says and nothing of this one. Nothing is added to a
command.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose

from flashsale.process.embedded import bundled_server
from flashsale.process.ports import ReservedPort
from tests.packaging.checkout import ROOT

VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<rule>:[-?])(?P<rest>[^{}]*))?\}|(?P<wrong>.?))")
START_SECONDS = 60.0
HOSTS_OF_SIMULATOR = ("load-simulator", "127.0.0.1")


class InterpolationError(Exception):
    """A variable that has to be set is not, or the text is none that Compose would take."""


def read_env_file(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a `.env` file; others are empty or comments."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    return dict(line.split("=", 1) for line in lines)


def interpolated(node: Any, variables: Mapping[str, str]) -> Any:
    """The document with `$$`, `${NAME}`, `${NAME:-default}` and `${NAME:?message}` resolved."""

    def resolve(match: re.Match[str]) -> str:
        if match["wrong"] is not None:
            raise InterpolationError(f"not a variable: {match[0]}")
        if match["name"] is None:
            return "$"
        value = variables.get(match["name"], "")
        if not value and match["rule"] == ":-":
            return match["rest"]
        if not value and match["rule"] == ":?":
            raise InterpolationError(f"{match['name']}: {match['rest']}")
        return value

    if isinstance(node, dict):
        return {key: interpolated(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, variables) for value in node]
    return VARIABLE.sub(resolve, node) if isinstance(node, str) else node


def parse(variables: Mapping[str, str]) -> dict[str, Any]:
    """docker-compose.yml, checked against the Compose Specification and for references that lead nowhere.

    Raises `InterpolationError` for a variable that has to be set, and ValueError for a file that breaks the
    format.
    """
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    compose = PyCompose.from_json(json.dumps(interpolated(document, variables)))
    compose.validate()
    return compose.to_dict()


def valkey_programs(folder: Path) -> Path:
    """A folder with the programs of the valkey image: its server, and the command-line client of the machine.

    Where the machine has none, a few lines on redis-py ask the server the same and fail the same way.
    """
    folder.mkdir()
    (folder / "valkey-server").symlink_to(bundled_server())
    client = folder / "valkey-cli"
    if found := shutil.which("valkey-cli") or shutil.which("redis-cli"):
        client.write_text(f'#!/bin/sh\nREDISCLI_AUTH="$VALKEYCLI_AUTH" exec {found} "$@"\n')
    else:
        client.write_text(
            f"#!{sys.executable}\nimport os, sys, redis\n"
            "assert sys.argv[1:3] == ['-e', '-p']\n"
            "password = os.environ['VALKEYCLI_AUTH']\n"
            "print(redis.Redis(port=int(sys.argv[3]), password=password).execute_command(*sys.argv[4:]))\n"
        )
    client.chmod(0o755)
    return folder


@dataclass
class Stack:
    """The services of the compose file as processes of this machine, below `folder`."""

    services: dict[str, Any]
    env_file: dict[str, str]
    folder: Path
    path: str
    ports: dict[str, ReservedPort] = field(default_factory=lambda: defaultdict(ReservedPort))
    """Of each service, kept from everybody else until the end; `web` is the load test's page."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def server_url(self) -> str:
        """Where the server answers."""
        return f"http://127.0.0.1:{self.ports['server'].port}"

    def here(self, text: str) -> str:
        """Put what is in this place on this machine where the file names what is in a container."""
        whole = {
            "*": "127.0.0.1",
            "0.0.0.0": "127.0.0.1",
            "/data": str(self.folder / "data"),
            "6379": str(self.ports["valkey"].port),
            "8080": str(self.ports["server"].port),
            "8081": str(self.ports["load-simulator"].port),
            "8089": str(self.ports["web"].port),
            "5557": str(self.ports["load-master"].port),
            "load-master": "127.0.0.1",
            "/loadtest": str(ROOT / "loadtest"),
            "/report": str(self.folder / "report"),
        }
        if text in whole:
            return whole[text]
        addresses = {
            "//server:8080": f"//127.0.0.1:{self.ports['server'].port}",
            "@valkey:6379/": f"@127.0.0.1:{self.ports['valkey'].port}/",
            ":8080/": f":{self.ports['server'].port}/",
        }
        simulator = f"//127.0.0.1:{self.ports['load-simulator'].port}"
        addresses |= {f"//{name}:8081": simulator for name in HOSTS_OF_SIMULATOR}
        addresses["sqlite:////archive/"] = f"sqlite:///{self.folder}/archive/"
        for there, here in addresses.items():
            text = text.replace(there, here)
        return text

    def environment(self, name: str) -> dict[str, str]:
        """What the service sees: its `env_file`, its `environment`, and where programs are."""
        service = self.services[name]
        given = {k: self.here(v) for k, v in self.env_file.items()} if service.get("env_file") else {}
        ours = {key: self.here(str(value)) for key, value in service.get("environment", {}).items()}
        return {**given, **ours, "PATH": self.path, "HOME": str(self.folder)}

    def start(self, name: str, container: str = "", **environment: str) -> None:
        """Start the service by its own command line; a second container of it has a name of its own."""
        container = container or name
        for volume in ("data", "archive", "report"):
            (self.folder / volume).mkdir(exist_ok=True)
        (self.folder / f"cwd-{container}").mkdir(exist_ok=True)
        with self.log(container).open("ab") as log:
            self.processes[container] = subprocess.Popen(
                [self.here(part) for part in self.services[name]["command"]],
                cwd=self.folder / f"cwd-{container}",
                env={**self.environment(name), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def healthy(self, name: str) -> bool:
        """Whether the service's own health check says so."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        check = subprocess.run(
            [self.here(part) for part in command],
            env=self.environment(name),
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
        )
        return check.returncode == 0

    def wait_healthy(self, name: str) -> None:
        """Wait until the service is healthy; raises AssertionError with its log when that does not happen."""
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy(name):
            ended = self.processes[name].poll()
            assert ended is None, f"{name} ended with {ended}:\n{self.log(name).read_text()[-3000:]}"
            assert time.monotonic() < deadline, (
                f"{name} is not healthy:\n{self.log(name).read_text()[-3000:]}"
            )
            time.sleep(0.1)

    def stop(self, name: str, signal_number: int = signal.SIGTERM) -> int:
        """End the service as `docker stop` does, and answer its exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal_number)
        return process.wait(timeout=60)

    def run_python(self, script: str, *arguments: str) -> str:
        """What a script in the folder prints, run by this Python."""
        command = [sys.executable, str(self.folder / script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def log(self, name: str) -> Path:
        """Where the service's output goes."""
        return self.folder / f"{name}.log"

    def close(self) -> None:
        """End whatever still runs."""
        for name in [*self.processes]:
            self.stop(name, signal.SIGKILL)
        for port in self.ports.values():
            port.close()


def make_stack(variables: dict[str, str], folder: Path) -> Stack:
    """A stack that has not been started, with the programs of this environment in place of the images'."""
    programs = valkey_programs(folder / "bin")
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    return Stack(parse(variables)["services"], variables, folder, path)
