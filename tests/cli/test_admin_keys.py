"""`flashsale keys` and `flashsale audit`, against a real server."""

import re

from tests.cli.conftest import Commands


def test_a_key_is_made_used_listed_and_revoked(commands: Commands) -> None:
    result = commands.run("keys", "create", "Order system", "--scope", "sales", "--scope", "orders")
    assert result.exit_code == 0
    secret = result.stdout.strip()
    assert re.fullmatch(r"fsk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", secret)
    assert "It is shown only now" in result.stderr
    assert secret not in result.stderr

    commands.define("keyed")
    assert "clean" in commands.must("audit", "keyed", FLASHSALE_API_KEY=secret)
    assert "clean" in commands.must("audit", "keyed", "--api-key", secret, FLASHSALE_ROOT_KEY=None)
    for arguments in (["create", "x", "--scope", "sales"], ["list"], ["revoke", "0" * 12]):
        assert "Only the root key" in commands.fails("keys", *arguments, FLASHSALE_API_KEY=secret)

    key_id = secret[4:16]
    assert re.search(rf"{key_id}\s+sales, orders\s+\S+ \S+Z\s+Order system", commands.must("keys", "list"))
    assert key_id in [key["id"] for key in commands.json("keys", "list")["keys"]]
    assert secret not in commands.must("keys", "list", "--json")
    assert "is revoked" in commands.must("keys", "revoke", key_id)
    assert "(not_found)" in commands.fails("keys", "revoke", key_id)
    assert key_id not in commands.must("keys", "list")
    error = commands.fails("audit", "keyed", FLASHSALE_API_KEY=secret)
    assert "(unauthenticated)" in error
    assert "FLASHSALE_API_KEY" in error
    assert secret not in error


def test_what_a_key_must_have(commands: Commands) -> None:
    assert "--scope" in commands.fails("keys", "create", "x", exit_code=2)
    assert "'root' is not one of" in commands.fails("keys", "create", "x", "--scope", "root", exit_code=2)
    assert "; name: " in commands.fails("keys", "create", "", "--scope", "sales")
    made = commands.json("keys", "create", "as JSON", "--scope", "support")
    assert made["scopes"] == ["support"]
    assert made["key"].startswith(f"fsk_{made['id']}_")


def test_a_key_without_the_scope_is_told_which(commands: Commands) -> None:
    made = commands.json("keys", "create", "support", "--scope", "support")
    commands.define("forbidden")
    error = commands.fails("sale", "close", "forbidden", FLASHSALE_API_KEY=made["key"])
    assert error.startswith("Error: Not allowed: ")
    assert "sales" in error


def test_audit_of_a_clean_sale(commands: Commands) -> None:
    commands.define("audited")
    text = commands.must("audit", "audited")
    assert text.startswith("clean  audited: ")
    assert re.search(r"giulia\s+5\s+5\s+0\s+0", text)
    verdict = commands.json("audit", "audited")
    assert verdict["ok"] is True
    assert verdict["findings"] == []
    assert "(unknown_sale)" in commands.fails("audit", "unheard-of")
