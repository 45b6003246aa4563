"""The options of a load test beside Locust's own: on the command line, in a config file, the environment or the web UI."""

from typing import Any, Final

from locust.argument_parser import LocustArgumentParser

SHAPES: Final = ("flash", "waves", "steady", "soak")
SECRETS: Final = frozenset({"api_key", "shopper_secret"})


def _percent(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 100:
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


# argparse says "invalid percent value: ..." by these names.
_percent.__name__, _count.__name__, _positive.__name__ = "percent", "count", "positive number"


def add(parser: LocustArgumentParser) -> None:
    """Adds the options; each is in the environment as `FLASHSALE_LOAD_...` too, unless another name is said."""

    def option(group: Any, name: str, **how: Any) -> None:
        how.setdefault("env_var", "FLASHSALE_LOAD_" + name.removeprefix("--").replace("-", "_").upper())
        action = group.add_argument(name, **how)
        # What `parser.add_argument` of Locust does, so that the web UI shows options of groups too.
        action.include_in_web_ui = True
        action.is_secret = action.dest in SECRETS
        action.is_required = action.is_multiple = False

    sale = parser.add_argument_group("The sale")
    option(
        sale,
        "--sale",
        default="",
        help="id of the sale; one that is not there is made for this run, and so is one of its own when this is left out",
    )
    option(
        sale,
        "--definition",
        default="",
        help="file with its definition (JSON); its opens_at is replaced by T0",
    )
    option(
        sale,
        "--units",
        type=_count,
        help="units of each item, instead of the definition's (a plain sale: 100)",
    )
    option(
        sale,
        "--hold-seconds",
        type=_count,
        help="how long a hold lasts, instead of the definition's (a plain sale: 60)",
    )
    option(
        sale,
        "--rehearsal",
        action="store_true",
        help="pretend sale: paid at the simulator, never in the order feed",
    )
    option(
        sale,
        "--api-key",
        env_var="FLASHSALE_ROOT_KEY",
        default="",
        help="API key with the scopes sales and orders",
    )
    option(
        sale,
        "--shopper-secret",
        env_var="FLASHSALE_SHOPPER_SECRET",
        default="",
        help="what the shoppers' tokens are signed with (HS256); without it the server is asked for guests",
    )
    _crowd(parser, option)
    _behaviour(parser, option)
    _verdict(parser, option)


def _crowd(parser: LocustArgumentParser, option: Any) -> None:
    crowd = parser.add_argument_group("The crowd", "--users are the shoppers; these come on top of them.")
    option(crowd, "--refreshers", type=_count, default=0, help="users who only reload the page of the sale")
    option(crowd, "--bots", type=_count, default=0, help="users who hammer, forge tokens and flood keys")
    option(crowd, "--order-systems", type=_count, default=1, help="order systems that follow the feed")
    option(crowd, "--shape", choices=SHAPES, default="flash", help="when shoppers press")
    option(crowd, "--lead", type=_positive, default=3.0, help="seconds from the last arrival to T0")
    option(crowd, "--waves", type=_count, default=3, help="shape waves: how many")
    option(crowd, "--wave-seconds", type=_positive, default=10.0, help="shape waves: from one to the next")
    option(crowd, "--rate", type=_positive, default=20.0, help="shapes steady and soak: shoppers a second")
    option(
        crowd,
        "--restock-seconds",
        type=_positive,
        default=60.0,
        help="shape soak: from one restock to the next",
    )
    option(
        crowd,
        "--restock-units",
        type=_count,
        default=0,
        help="shape soak: units of each item added each time",
    )
    option(
        crowd,
        "--patience",
        type=_positive,
        default=60.0,
        help="seconds after which a shopper presses no more",
    )
    option(
        crowd, "--answer-timeout", type=_positive, default=15.0, help="seconds a shopper waits for one answer"
    )


def _behaviour(parser: LocustArgumentParser, option: Any) -> None:
    behaviour = parser.add_argument_group("What shoppers do")
    option(behaviour, "--reaction-ms", type=_positive, default=300.0, help="median time from T0 to pressing")
    option(behaviour, "--reaction-sigma", type=_positive, default=0.4, help="spread of it (log-normal)")
    option(
        behaviour,
        "--early",
        type=_percent,
        default=5.0,
        help="percent who press within half a second before T0",
    )
    option(
        behaviour,
        "--double-press",
        type=_percent,
        default=5.0,
        help="percent who press twice at the same time",
    )
    option(
        behaviour, "--greedy", type=_percent, default=5.0, help="percent who try to get a second reservation"
    )
    option(
        behaviour,
        "--come-back",
        type=_percent,
        default=20.0,
        help="percent told sold out who try again later",
    )
    option(
        behaviour,
        "--resume",
        type=_percent,
        default=20.0,
        help="percent who look up their hold before paying",
    )
    option(
        behaviour,
        "--abandon",
        type=_percent,
        default=10.0,
        help="percent of holders who leave without paying",
    )
    option(behaviour, "--cancel", type=_percent, default=5.0, help="percent of holders who cancel")
    option(
        behaviour,
        "--decline",
        type=_percent,
        default=5.0,
        help="percent of holders whose first payment is declined",
    )
    option(
        behaviour,
        "--think-seconds",
        type=_positive,
        default=2.0,
        help="median time before paying (log-normal)",
    )
    option(behaviour, "--quantity", type=_count, default=1, help="units of an item in a reservation")
    option(behaviour, "--seed", type=int, default=0, help="of every draw; 0: another one each time")


def _verdict(parser: LocustArgumentParser, option: Any) -> None:
    verdict = parser.add_argument_group("The verdict", "Levels that are left out are not asked for.")
    option(verdict, "--report", default="flashsale-loadtest", help="folder of the report")
    option(
        verdict,
        "--level-p99-ms",
        type=_positive,
        help="p99 of reserve, from the instant the shopper meant to press",
    )
    option(verdict, "--level-5xx-percent", type=_percent, help="answers of 500 and more")
    option(verdict, "--level-sell-out-seconds", type=_positive, help="from T0 to the last unit held")
    option(verdict, "--level-silences", type=_count, default=0, help="requests that may go without an answer")
    option(verdict, "--level-late-ms", type=_positive, help="p99 of how late the load itself pressed")
