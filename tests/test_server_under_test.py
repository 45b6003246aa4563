"""The suite runs against the server that was asked for: otherwise a second run would prove nothing new."""

import os
from pathlib import Path

import psutil

from flashsale.process.embedded import EmbeddedValkey, bundled_server


def test_it_is_the_one_that_was_asked_for(server: EmbeddedValkey) -> None:
    wanted = os.environ.get("FLASHSALE_TEST_SERVER") or bundled_server()
    assert Path(psutil.Process(server.pid).exe()).resolve() == Path(wanted).resolve()
