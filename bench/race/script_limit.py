"""What the store does of the contenders' script with nobody in between: `redis-benchmark`, where it is installed."""

import shutil
import subprocess
from urllib.parse import urlsplit

from bench.race.field import PEERS
from bench.race.machine import Cores
from bench.race.stores import client, valkey

REQUESTS = 300_000
PIPELINED = 16


def measure(cores: Cores) -> dict[str, float]:
    """Reservations a second, and microseconds of the store's processor for one; empty without `redis-benchmark`."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        return {}
    with valkey(cores) as store, client(store.url) as redis:
        sha = redis.script_load((PEERS / "reserve.lua").read_text(encoding="utf-8"))
        redis.set("peer:{limit}:stock:giulia", 10 * REQUESTS)
        address = urlsplit(store.url)
        before = redis.info("cpu")
        # The client has the core of the server: it stands where the server would.
        command = [
            program, "-p", str(address.port), "-a", address.password or "", "-c", "64", "-n", str(REQUESTS),
            "-P", str(PIPELINED), "-r", "1000000000", "--csv",
            "EVALSHA", sha, "2", "peer:{limit}:stock:giulia", "peer:{limit}:reservations", "__rand_int__", "1",
        ]  # fmt: skip
        done = subprocess.run(
            cores.pinned(command, server=True), capture_output=True, text=True, timeout=120, check=True
        )
        after = redis.info("cpu")
    used = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    rate = float(done.stdout.strip().splitlines()[-1].split('","')[1].strip('"'))
    return {"rate": rate, "micros": used / REQUESTS * 1e6, "pipelined": PIPELINED}
