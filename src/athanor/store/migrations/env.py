"""What Alembic runs: the migrations, inside the transaction that `migrations.upgrade` was given."""

from alembic import context

from athanor.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
