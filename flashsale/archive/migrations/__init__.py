"""How the tables of the archive came to be as they are; Alembic runs these files."""
