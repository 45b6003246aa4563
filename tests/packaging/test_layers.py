"""Holds the package to its layers: an import in the wrong direction fails here."""

import ast
from pathlib import Path

from tests.packaging.checkout import PACKAGE

# Each may import from those before it, and from itself.
LAYERS = (
    "model",
    "settings",
    "logs",
    "metrics",
    "providers",
    "webhooks",
    "keys",
    "scripts",
    "store",
    "archive",
    "engine",
    "identity",
    "workers",
    "pages",
    "api",
    "simulator",
    "process",
    "client",
    "verdict",
    "demo",
    "rehearsal",
    "cli",
    "__main__",
)
# With these a rule of the model could read or write something, or depend on a clock of ours.
IMPURE = {"aiohttp", "asyncio", "os", "pathlib", "redis", "socket", "subprocess", "time"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_by(path: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it; a relative import is made absolute."""
    package = ("flashsale", *path.relative_to(PACKAGE).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from flashsale import keys` imports the module flashsale.keys.
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "flashsale" else {module}
    return found


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_module_belongs_to_a_layer() -> None:
    assert not [name_of(path) for path in MODULES if layer_of(path) not in LAYERS]


def test_imports_point_one_way() -> None:
    wrong = []
    for path in MODULES:
        allowed = LAYERS[: LAYERS.index(layer_of(path)) + 1]
        ours = {name.split(".")[1] for name in imported_by(path) if name.startswith("flashsale.")}
        wrong += [f"{name_of(path)} imports {layer}" for layer in ours - {"__version__", *allowed}]
    assert not wrong


def test_only_store_and_scripts_know_redis() -> None:
    clients = {"redis", "valkey", "hiredis"}
    knowing = {layer_of(path) for path in MODULES if {n.split(".")[0] for n in imported_by(path)} & clients}
    assert knowing == {"store", "scripts"}


def test_only_the_archive_knows_databases() -> None:
    clients = {"sqlalchemy", "alembic", "psycopg", "sqlite3"}
    knowing = {path for path in MODULES if {n.split(".")[0] for n in imported_by(path)} & clients}
    # The demo's order system is no part of the shop: it keeps books of its own, as a brand's does.
    order_system = {PACKAGE / "demo" / "order_books.py", PACKAGE / "demo" / "order_system.py"}
    assert order_system <= knowing
    assert {layer_of(path) for path in knowing - order_system} == {"archive"}


def test_the_model_is_pure() -> None:
    for path in sorted((PACKAGE / "model").rglob("*.py")):
        names = imported_by(path)
        assert not {name.split(".")[0] for name in names} & IMPURE, name_of(path)
        assert all(name.startswith("flashsale.model") for name in names if name.startswith("flashsale"))
