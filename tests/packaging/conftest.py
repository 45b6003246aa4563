"""The stack of the compose file and the installation of the image, for the tests beside this file."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT
from tests.packaging.compose import Stack, make_stack, read_env_file


@pytest.fixture
def variables() -> dict[str, str]:
    """`.env.example` with its empty secrets filled in, as deploy/README.md says."""
    example = read_env_file(ROOT / ".env.example")
    return {name: value or secrets.token_hex(32) for name, value in example.items()}


@pytest.fixture
def stack(variables: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    """The services of the compose file, none of them started; whatever a test starts is ended after it."""
    stack = make_stack(variables, tmp_path)
    yield stack
    stack.close()
