"""What one sees while it happens: a live view on a terminal, and a few plain lines anywhere else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flashsale.demo.messages import Progress, Received

FRAMES_PER_SECOND = 8
PLAIN_SECONDS = 1.0
PLAIN_SECONDS_LATER = 2.5
"""After the rush there is more time."""

RATE_WINDOW_MS = 500.0

KINDS = (
    ("sale", "sales (201)", "green"),
    ("sold_out", "sold out (409)", "yellow"),
    ("replay", "replays (200)", "cyan"),
    ("not_open", "not open yet (409)", "blue"),
    ("busy", "busy (503)", "magenta"),
    ("cut", "connections cut", "red"),
    ("error", "other errors", "red"),
)

CHECKOUTS = (
    ("agreed to pay", "agreed"),
    ("declined", "declines"),
    ("walked away", "walked_away"),
    ("came back", "came_back"),
    ("sold again", "sold_again"),
)


@dataclass
class Scene:
    """The state that is shown."""

    title: str
    shoppers: int
    connections: int
    opens_at: float = 0.0
    stock: int = 0
    available: int = 0
    held: int = 0
    paid: int = 0
    received: Received = field(default_factory=Received)
    """By the order system."""
    hold_seconds: int = 0
    state: str = "scheduled"
    counts: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    waiting: int = 0
    checkouts: dict[str, int] = field(default_factory=dict)
    history: deque[Progress] = field(default_factory=lambda: deque(maxlen=64))

    def looked(self, stats: dict[str, Any], received: Received | None = None) -> None:
        """Take in the counters of the sale, and of the order system."""
        self.received = received or self.received
        self.state = stats["state"]
        items = stats["items"]
        self.stock, self.available = (sum(item[name] for item in items) for name in ("stock", "available"))
        self.held, self.paid = (sum(item.get(name, 0) for item in items) for name in ("held", "sold"))

    def heard(self, progress: Progress) -> None:
        """Take in what the crowd has been answered so far."""
        self.counts, self.waiting, self.checkouts = progress.counts, progress.waiting, progress.checkouts
        sold = progress.counts.get("sale", 0)
        # The crowd may know of sales before the next look. Later, holds end and are sold again.
        if sold > self.held + self.paid and progress.since_t0_ms < self.hold_seconds * 1000:
            self.held, self.available = sold - self.paid, max(0, self.stock - sold)
        self.history.append(progress)
        while len(self.history) > 2 and progress.since_t0_ms - self.history[1].since_t0_ms >= RATE_WINDOW_MS:
            self.history.popleft()
        first = self.history[0]
        seconds = (progress.since_t0_ms - first.since_t0_ms) / 1000
        if seconds > 0:
            self.rates = {
                kind: (count - first.counts.get(kind, 0)) / seconds for kind, count in progress.counts.items()
            }

    def render(self) -> RenderableType:
        """The frame for now."""
        return Panel(
            Group(
                *(self._clock(), Text(), self._units(), self._order_system(), Text()),
                *(self._answers(), Text(), self._after()),
            ),
            title=self.title,
            width=78,
        )

    def _clock(self) -> Text:
        left_s = self.opens_at - monotonic()
        if self.opens_at == 0:
            return Text("getting ready", style="bold")
        if left_s > 0:
            return Text(f"opens in {left_s:4.1f} s", style="bold yellow")
        return Text(f"open for {-left_s:4.1f} s   {self.state}", style="bold green")

    def _units(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=10)
        table.add_column(width=7, justify="right")
        table.add_column(width=54)
        for name, units, style in (
            ("available", self.available, "green"),
            ("held", self.held, "red"),
            ("paid", self.paid, "bright_blue"),
            ("received", self.received.orders - self.received.refunds, "cyan"),
        ):
            bar = ProgressBar(total=max(1, self.stock), completed=units, width=52, complete_style=style)
            table.add_row(name, f"{units:,}", bar)
        return table

    def _order_system(self) -> Text:
        """Whose the last of the counts is, and what else it has."""
        return Text(
            f"{'':10} by the order system, from the feed: confirmed {self.received.orders:,}, "
            f"refunded {self.received.refunds:,}",
            style="dim",
        )

    def _answers(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("answers", width=22)
        table.add_column("so far", justify="right", width=12)
        table.add_column("per second", justify="right", width=12)
        for kind, name, style in KINDS:
            count = self.counts.get(kind, 0)
            shown = style if count else "dim"
            table.add_row(Text(name, style=shown), f"{count:,}", f"{self.rates.get(kind, 0.0):,.0f}")
        table.add_row(Text("waiting", style="dim"), f"{self.waiting:,}", "")
        return table

    def _after(self) -> Table:
        """What became of holds so far."""
        table = Table(box=None, pad_edge=False)
        counts = [self.checkouts.get(key, 0) for _, key in CHECKOUTS]
        for name, _ in CHECKOUTS:
            table.add_column(name, justify="right", width=13)
        table.add_row(*(Text(f"{count:,}", style="" if count else "dim") for count in counts))
        return table


class View:
    """Shows a scene as it changes."""

    def __init__(self, console: Console, scene: Scene) -> None:
        self.scene = scene
        self._console = console
        self._live: Live | None = None
        self._said_at = 0.0
        if console.is_terminal:
            self._live = Live(
                console=console,
                get_renderable=scene.render,
                refresh_per_second=FRAMES_PER_SECOND,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def changed(self) -> None:
        """The scene has changed: a live view draws it by itself, elsewhere a line is said now and then."""
        scene = self.scene
        pause = PLAIN_SECONDS if scene.waiting or not scene.counts else PLAIN_SECONDS_LATER
        if self._live is None and monotonic() - self._said_at >= pause:
            self._said_at = monotonic()
            units = (
                f"  available {scene.available:,}, held {scene.held:,}, paid {scene.paid:,}, "
                f"order system {scene.received.orders - scene.received.refunds:,}"
            )
            if scene.waiting:
                self.say(f"{units}, answers {sum(scene.counts.values()):,}, waiting {scene.waiting:,}")
            else:
                again = scene.checkouts.get("sold_again", 0)
                self.say(f"{units}, sold again {again:,}")
