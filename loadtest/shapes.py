"""How many users there are, and when: `--shape` says which of the shapes it is.

flash: everybody arrives before T0 and presses at T0. waves: a part of the crowd arrives before each wave. steady and soak:
`--users` at most are in the shop at any time, and `--rate` new shoppers a second press, until `--run-time` is over.
"""

from typing import Any

from _conductor import Conductor
from _lead import CONDUCTORS
from _run import RUN
from locust import LoadTestShape, User

ARRIVE_SECONDS = 8.0
"""The crowd of a wave comes so long before it, and as long as its spawning takes; never before the last wave."""


class Crowd(LoadTestShape):
    """All shapes; one class, as Locust takes the first that it finds."""

    abstract = False
    use_common_options = True

    def reset_time(self) -> None:
        """Locust begins a run."""
        super().reset_time()
        conductors = CONDUCTORS.get(id(RUN.environment))
        if conductors is not None:
            conductors.renew()

    def tick(self) -> tuple[int, float, list[type[User]] | None] | None:
        """Users, spawn rate and their classes; None when the run is over."""
        environment = RUN.environment
        conductors = CONDUCTORS.get(id(environment))
        conductor = conductors.tick() if conductors is not None else None
        if environment is None or conductor is None:
            return None
        options: Any = environment.parsed_options
        if options.run_time and self.get_run_time() >= options.run_time:
            return None
        classes = list(environment.user_classes)
        others = sum(each.fixed_count for each in classes)
        shoppers = self._shoppers(conductor, options) if any(not each.fixed_count for each in classes) else 0
        return others + shoppers, float(options.spawn_rate or 1), classes

    def _shoppers(self, conductor: Conductor, options: Any) -> int:
        """How many shoppers are there by now."""
        total = conductor.shoppers
        if options.shape != "waves":
            return total
        size = -(-total // max(1, options.waves))
        wave = 0
        if conductor.t0_ms:
            early = min(ARRIVE_SECONDS + size / (options.spawn_rate or 1), 0.8 * options.wave_seconds)
            since_t0 = (conductor.clock.now_ms() - conductor.t0_ms) / 1000
            wave = max(0, int((since_t0 + early) // options.wave_seconds))
        return int(min(total, size * (wave + 1)))
