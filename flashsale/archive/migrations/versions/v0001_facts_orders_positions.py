"""The first tables: facts, orders, positions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates them."""
    _create_facts()
    _create_orders()
    _create_positions()


def _create_facts() -> None:
    op.create_table(
        "facts",
        sa.Column("sale", sa.Text(), nullable=False, comment="id of the sale"),
        sa.Column(
            "shard", sa.Integer(), nullable=False, comment="part of the sale, 0 as long as sales have one"
        ),
        sa.Column(
            "seq", sa.BigInteger(), nullable=False, comment="number of the fact in its sale, gapless from 1"
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when it was decided"),
        sa.Column("type", sa.Text(), nullable=False, comment="such as reservation.confirmed"),
        sa.Column(
            "reservation",
            sa.Text(),
            nullable=True,
            comment="id of the reservation that it is about, SALE.SHARD.TOKEN",
        ),
        sa.Column(
            "sequence",
            sa.BigInteger(),
            nullable=True,
            comment="number among those that make or undo an order, gapless from 1 in its sale; null for all others",
        ),
        sa.Column(
            "data", sa.JSON(), nullable=False, comment="what its event says: the data of the CloudEvent"
        ),
        sa.Column("event", sa.Text(), nullable=False, comment="the whole CloudEvent as it was sent, JSON"),
        sa.Column("raw", sa.LargeBinary(), nullable=False, comment="the fact's own bytes, as Redis has them"),
        sa.PrimaryKeyConstraint("sale", "shard", "seq", name="facts_pkey"),
        comment="Every fact of every sale, in the order in which it was decided; never changed",
    )
    op.create_index(
        "facts_sequence",
        "facts",
        ["sale", "shard", "sequence"],
        unique=True,
        postgresql_where=sa.text("sequence IS NOT NULL"),
        sqlite_where=sa.text("sequence IS NOT NULL"),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        *_what_was_ordered(),
        *_how_it_is_paid(),
        sa.PrimaryKeyConstraint("sale", "shard", "reservation", name="orders_pkey"),
        comment="Every order as it stands now: made by a reservation.confirmed, undone by a reservation.refunded",
    )


def _create_positions() -> None:
    op.create_table(
        "positions",
        sa.Column("sale", sa.Text(), nullable=False, comment="id of the sale"),
        sa.Column(
            "shard", sa.Integer(), nullable=False, comment="part of the sale, 0 as long as sales have one"
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the last fact that is here"),
        sa.Column(
            "sequence",
            sa.BigInteger(),
            nullable=False,
            comment="the last order made or undone that is here; 0 for none",
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when that fact was decided"),
        sa.PrimaryKeyConstraint("sale", "shard", name="positions_pkey"),
        comment="How far each sale has been copied; changes only together with the facts",
    )


def _what_was_ordered() -> list["sa.Column[Any]"]:
    return [
        sa.Column("sale", sa.Text(), nullable=False, comment="id of the sale"),
        sa.Column(
            "shard", sa.Integer(), nullable=False, comment="part of the sale, 0 as long as sales have one"
        ),
        sa.Column(
            "reservation", sa.Text(), nullable=False, comment="id of the reservation, SALE.SHARD.TOKEN"
        ),
        sa.Column(
            "sequence",
            sa.BigInteger(),
            nullable=False,
            comment="number of its confirmation; see facts.sequence",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="confirmed or refunded"),
        sa.Column("customer", sa.Text(), nullable=False, comment="the customer, as the brand calls them"),
        sa.Column("place", sa.BigInteger(), nullable=False, comment="which hold of the sale it was, from 1"),
        sa.Column(
            "late",
            sa.Boolean(),
            nullable=False,
            comment="paid after the hold had ended, with the units still there",
        ),
        sa.Column(
            "items", sa.JSON(), nullable=False, comment="[{sku, quantity, price}], the price in minor units"
        ),
    ]


def _how_it_is_paid() -> list["sa.Column[Any]"]:
    return [
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="price of all items, in minor units"),
        sa.Column(
            "amount_due", sa.BigInteger(), nullable=False, comment="what was paid at once, in minor units"
        ),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217"),
        sa.Column("method", sa.Text(), nullable=True, comment="payment method, such as card"),
        sa.Column("provider", sa.Text(), nullable=True, comment="payment provider, such as stripe"),
        sa.Column("reference", sa.Text(), nullable=True, comment="the payment's id at the provider"),
        sa.Column(
            "deposit",
            sa.BigInteger(),
            nullable=False,
            comment="due at once, in minor units; equals amount_due",
        ),
        sa.Column("balance", sa.BigInteger(), nullable=False, comment="due on hand-over, in minor units"),
        sa.Column(
            "instalments",
            sa.JSON(),
            nullable=False,
            comment="[monthly rates in minor units], the first one first",
        ),
        sa.Column(
            "held_at", sa.DateTime(timezone=True), nullable=False, comment="when the units were reserved"
        ),
        sa.Column(
            "confirmed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the payment was decided to be an order",
        ),
        sa.Column(
            "refunded_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was undone; null for orders that stand",
        ),
        sa.Column("refund_reason", sa.Text(), nullable=True, comment="why it was undone"),
        sa.Column(
            "restocked",
            sa.Boolean(),
            nullable=True,
            comment="whether the units of an undone order went back on sale",
        ),
        sa.Column("confirmed_seq", sa.BigInteger(), nullable=False, comment="facts.seq of the confirmation"),
        sa.Column("refunded_seq", sa.BigInteger(), nullable=True, comment="facts.seq of the refund"),
    ]
