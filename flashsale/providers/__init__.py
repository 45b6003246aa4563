"""Payment providers: plug-ins behind the Protocol of `protocol.py`, one file each, chosen by the settings.

To add one: write its file, and name its function that makes it from the settings in `_MAKERS`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from flashsale.providers.protocol import Provider
from flashsale.settings import Settings

_MAKERS: Final[dict[str, str]] = {
    "simulator": "flashsale.providers.simulator",
    "stripe": "flashsale.providers.stripe",
}
"""Name -> module with a function `from_settings(settings) -> Provider | None`: None when it is not set up.

A module is imported when it is used: the libraries of some providers are slow to import, or not installed.
"""


def configured(settings: Settings) -> dict[str, Provider]:
    """Every provider that is set up, by name; whoever gets them closes them.

    Webhooks of all of them are accepted, so that payments begun with one can end after a change to another.
    """
    found: dict[str, Provider] = {}
    for name, module in _MAKERS.items():
        make: Callable[[Settings], Provider | None] = import_module(module).from_settings
        provider = make(settings)
        if provider is not None:
            found[name] = provider
    return found
