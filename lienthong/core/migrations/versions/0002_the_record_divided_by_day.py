"""the record divided by day."""

from __future__ import annotations

from alembic import op

from lienthong.core import partitions

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward: on PostgreSQL the rows that are there become the first partition; SQLite stays as it is."""
    if op.get_bind().dialect.name == "postgresql":
        partitions.divide(op.get_bind())


def downgrade() -> None:
    """Go back: nobody has to; the divided table is asked and written as the one table was."""
