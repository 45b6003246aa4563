"""What Alembic does with the migrations: all in one transaction, under the lock of `flashsale.archive.migrate`."""

from alembic import context

from flashsale.archive.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
