"""`Archive`: facts go in exactly once and come out as they were."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from flashsale.archive import database
from flashsale.archive.bulk import load
from flashsale.archive.errors import explained
from flashsale.archive.migrate import upgrade
from flashsale.archive.rows import (
    REFUND,
    ArchivedEvent,
    ArchivedFact,
    Books,
    Position,
    check_order,
    fact_row,
    order_rows,
)
from flashsale.archive.tables import FACTS, ORDERS, POSITIONS
from flashsale.model.facts import Fact

_KEY: Final = ("sale", "shard", "reservation")
_UNDO: Final = (
    update(ORDERS)
    .where(*(ORDERS.c[name] == bindparam(f"of_{name}") for name in _KEY))
    .values({name: bindparam(name) for name in REFUND})
)
_FORGET: Final = delete(ORDERS).where(
    ORDERS.c.sale == bindparam("of_sale"),
    ORDERS.c.shard == bindparam("of_shard"),
    ORDERS.c.reservation.in_(bindparam("made", expanding=True)),
)


class Archive:
    """The archive of one shop. Safe to use from many threads at once; every call blocks.

    Every method may raise `ArchiveError`: `ArchiveUnavailableError` when the same may work later.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where

    @classmethod
    def open(cls, url: str) -> Self:
        """The archive at this address, `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.

        Its tables are created, or upgraded to this version. Any number of processes may do that at once.

        Raises:
            ArchiveUnavailableError: the database cannot be reached.
            ArchiveError: it never can, as things are: a wrong address or password, no driver, tables of a later version.
        """
        address = database.parse(url)
        where = database.describe(address)
        engine = database.connect(address)
        try:
            with explained(where):
                upgrade(engine, where)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, where)

    def __repr__(self) -> str:
        return f"<Archive {self._where}>"

    @property
    def where(self) -> str:
        """Where it is, without user and password: "in FILE", or "at postgresql://HOST/DATABASE"."""
        return self._where

    # --- in ---

    def append(self, sale: str, after: int, facts: Sequence[ArchivedFact], *, shard: int = 0) -> bool:
        """Takes in the facts of a sale that follow fact `after`, all of them or none.

        False, and nothing is written, when the archive does not end at `after`: somebody else has been faster, or has put
        an older archive in its place. Should the answer be lost, ask for the position: it has moved, or it has not.

        Raises:
            ValueError: the facts are not those that follow `after`, without a gap.
        """
        if not facts:
            return self._seq(sale, shard) == after
        check_order(after, facts)
        rows = [fact_row(fact, event) for fact, event in facts]
        made, undone = order_rows(facts)
        with self._transaction(writes=True) as connection:
            # First of all: another archiver that is at the same facts waits here until this one has ended.
            if not self._advance(connection, sale, shard, after, facts):
                connection.rollback()
                return False
            load(connection, FACTS, rows)
            if made:
                # There is none before its confirmation. Should a damaged journal have two of them, the later one counts.
                tokens = [order["reservation"] for order in made]
                connection.execute(_FORGET, {"of_sale": sale, "of_shard": shard, "made": tokens})
                load(connection, ORDERS, made)
            if undone:
                connection.execute(_UNDO, undone)
        return True

    def _advance(
        self, connection: Connection, sale: str, shard: int, after: int, facts: Sequence[ArchivedFact]
    ) -> bool:
        """Moves the position, if it is where it should be. That of the orders has to fit too: there is no gap in them."""
        sequences = [event.sequence for _, event in facts if event.sequence]
        if sequences and sequences != list(range(sequences[0], sequences[0] + len(sequences))):
            raise ValueError(f"the orders of {sale} are numbered {sequences[:5]}..., with a gap in between")
        last = facts[-1][0]
        if after == 0:
            row = {"sale": sale, "shard": shard, "seq": last.seq, "at": last.at_ms}
            if sequences and sequences[0] != 1:
                raise ValueError(f"the first order of {sale} has the number {sequences[0]}")
            row["sequence"] = sequences[-1] if sequences else 0
            try:
                connection.execute(insert(POSITIONS), row)
            except IntegrityError:
                return False
            return True
        move = update(POSITIONS).where(
            POSITIONS.c.sale == sale, POSITIONS.c.shard == shard, POSITIONS.c.seq == after
        )
        values = {"seq": last.seq, "at": last.at_ms}
        if not sequences:
            return connection.execute(move.values(values)).rowcount == 1
        moved = connection.execute(
            move.where(POSITIONS.c.sequence == sequences[0] - 1).values(values | {"sequence": sequences[-1]})
        )
        if moved.rowcount == 1:
            return True
        here = self._position(connection, sale, shard)
        if here is not None and here.seq == after:
            raise ValueError(
                f"order {sequences[0]} of {sale} cannot follow order {here.sequence} into the archive"
            )
        return False

    # --- out ---

    def positions(self) -> dict[str, Position]:
        """How far each sale has been archived; sales of which there is nothing are left out."""
        with self._transaction() as connection:
            found = connection.execute(select(POSITIONS))
            return {row.sale: Position(row.sale, row.shard, row.seq, row.at, row.sequence) for row in found}

    def position(self, sale: str, *, shard: int = 0) -> Position | None:
        """How far a sale has been archived; None when there is nothing of it."""
        with self._transaction() as connection:
            return self._position(connection, sale, shard)

    def facts(self, sale: str, *, after: int = 0, limit: int = 1000, shard: int = 0) -> list[Fact]:
        """Up to `limit` facts with a seq above `after`, in order, exactly as the journal had them."""
        wanted = (
            select(FACTS.c.seq, FACTS.c.at, FACTS.c.type, FACTS.c.raw)
            .where(FACTS.c.sale == sale, FACTS.c.shard == shard, FACTS.c.seq > after)
            .order_by(FACTS.c.seq)
            .limit(limit)
        )
        with self._transaction() as connection:
            return [Fact(seq, at, kind, bytes(raw)) for seq, at, kind, raw in connection.execute(wanted)]

    def events(self, sale: str, *, after: int = 0, limit: int = 1000, shard: int = 0) -> list[ArchivedEvent]:
        """Up to `limit` events that made or undid an order, with a sequence above `after`, in order."""
        wanted = (
            select(FACTS.c.sequence, FACTS.c.seq, FACTS.c.event)
            .where(FACTS.c.sale == sale, FACTS.c.shard == shard, FACTS.c.sequence > after)
            .order_by(FACTS.c.sequence)
            .limit(limit)
        )
        with self._transaction() as connection:
            return [
                ArchivedEvent(sale, sequence, seq, body.encode())
                for sequence, seq, body in connection.execute(wanted)
            ]

    def books(self, sale: str, *, shard: int = 0) -> Books:
        """The sums of a sale, as one moment had them. Counts its rows: a second or so for ten millions."""
        undone = ORDERS.c.refunded_at.is_not(None)
        sums = select(
            func.count().label("confirmed"),
            func.coalesce(func.sum(ORDERS.c.amount_due), 0).label("confirmed_amount"),
            func.count(ORDERS.c.refunded_at).label("refunded"),
            func.coalesce(func.sum(ORDERS.c.amount_due).filter(undone), 0).label("refunded_amount"),
            func.max(ORDERS.c.currency).label("currency"),
        ).where(ORDERS.c.sale == sale, ORDERS.c.shard == shard)
        count = select(func.count()).where(FACTS.c.sale == sale, FACTS.c.shard == shard)
        with self._transaction(still=True) as connection:
            position = self._position(connection, sale, shard) or Position(sale, shard, 0, 0)
            facts = connection.execute(count).scalar_one()
            row = connection.execute(sums).one()
        return Books(
            sale=sale,
            facts=facts,
            seq=position.seq,
            sequence=position.sequence,
            confirmed=row.confirmed,
            confirmed_amount=int(row.confirmed_amount),
            refunded=row.refunded,
            refunded_amount=int(row.refunded_amount),
            currency=row.currency,
        )

    def close(self) -> None:
        """Closes its connections; the archive is not used any more."""
        self._engine.dispose()

    def _position(self, connection: Connection, sale: str, shard: int) -> Position | None:
        wanted = select(POSITIONS).where(POSITIONS.c.sale == sale, POSITIONS.c.shard == shard)
        row = connection.execute(wanted).one_or_none()
        return None if row is None else Position(sale, shard, row.seq, row.at, row.sequence)

    def _seq(self, sale: str, shard: int) -> int:
        position = self.position(sale, shard=shard)
        return position.seq if position is not None else 0

    @contextmanager
    def _transaction(self, *, writes: bool = False, still: bool = False) -> Iterator[Connection]:
        """Commits what is done inside. `still`: all statements see the database as it was at the first of them."""
        with explained(self._where), self._engine.connect() as connection:
            if still and connection.dialect.name == "postgresql":  # SQLite has it no other way
                connection.execution_options(isolation_level="REPEATABLE READ")
            connection.execution_options(writes=writes)
            yield connection
            connection.commit()
