"""The database's numbered migrations, run by Alembic."""
