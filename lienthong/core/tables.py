"""The tables, the same on SQLite and PostgreSQL; `migrations/` brings a database to this shape."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from lienthong.core import clock, partitions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(TypeDecorator[datetime]):
    """A moment: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite (sorts and compares right)."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a moment without zone; give the database what it stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        moment = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return moment
        return (moment - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give back an aware moment, in Vietnam time: that is how everybody here reads it."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else _EPOCH + timedelta(microseconds=int(value))
        return moment.astimezone(clock.VIETNAM)


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


def _partly(name: str, *columns: str, where: str) -> sa.Index:
    """Make an index over the rows that anybody asks for, so that the others cost nothing."""
    return sa.Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


Json = sa.JSON()
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


# ---- keys and their life: a key (its id stays), its generations (what is presented), and who used it from where

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("prefix", sa.String(24), nullable=False),
    sa.Column("environment", sa.String(8), nullable=False),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("system", sa.String(200), nullable=False),
    sa.Column("custodian", sa.String(200), nullable=False),
    sa.Column("contact", sa.String(200), nullable=False, server_default=""),
    sa.Column("purpose", sa.String(500), nullable=False, server_default=""),
    sa.Column("decision_number", sa.String(100), nullable=False, server_default=""),
    sa.Column("grants", Json, nullable=False),
    sa.Column("limits", Json, nullable=False),
    sa.Column("addresses", Json, nullable=False),
    sa.Column("hours", Json, nullable=False),
    sa.Column("issued_at", UtcTime, nullable=False),
    sa.Column("issued_by", sa.String(100), nullable=False, server_default=""),
    sa.Column("approved_at", UtcTime),
    sa.Column("approved_by", sa.String(100)),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("confirm_by", UtcTime, nullable=False),
    sa.Column("confirmed_at", UtcTime),
    sa.Column("confirmed_by", sa.String(100)),
    sa.Column("suspended_at", UtcTime),
    sa.Column("suspended_reason", sa.String(500)),
    sa.Column("revoked_at", UtcTime),
    sa.Column("revoked_reason", sa.String(500)),
    sa.Column("expiry_told", sa.Integer),
    sa.Column("confirm_told", sa.Integer),
    comment="API keys (khoá API): for whom, for what, how much, and how each stands; the secret is in no column",
)

key_generations = sa.Table(
    "key_generations",
    metadata,
    sa.Column("key_id", sa.String(36), sa.ForeignKey("api_keys.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("prefix", sa.String(24), nullable=False, index=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("made_by", sa.String(100), nullable=False, server_default=""),
    sa.Column("ends_at", UtcTime),
    comment="What is presented for a key: only a keyed digest. Rotation adds one and ends the one before",
)

key_uses = sa.Table(
    "key_uses",
    metadata,
    sa.Column("key_id", sa.String(36), primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True),
    sa.Column("address", sa.String(64), primary_key=True),
    sa.Column("first_at", UtcTime, nullable=False),
    sa.Column("last_at", UtcTime, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    comment="From where a key was presented, first and last, how often served and how often refused",
)

limit_counts = sa.Table(
    "limit_counts",
    metadata,
    sa.Column("place", sa.String(200), primary_key=True),
    sa.Column("period", sa.String(32), primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False, index=True),
    comment="Calendar quotas used so far, so that a restart forgives nothing",
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("key_id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("created_at", UtcTime, nullable=False, index=True),
    comment="Idempotency-Key of POST requests and the answers given; answers are sealed",
)

admin_acts = sa.Table(
    "admin_acts",
    metadata,
    sa.Column("number", Serial, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("act", sa.String(60), nullable=False),
    sa.Column("object", sa.String(200), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False, server_default=""),
    sa.Column("before", Json),
    sa.Column("after", Json),
    sa.Column("outcome", sa.String(60), nullable=False, server_default="done"),
    # The trail of a time, of one thing, and of one kind of act, whatever else was done in years.
    sa.Index("ix_admin_acts_at", "at"),
    sa.Index("ix_admin_acts_object", "object", "number"),
    sa.Index("ix_admin_acts_act", "act", "number"),
    comment="What people did to the hub: who, when, why, before and after",
)

exchanges = sa.Table(
    "exchanges",
    metadata,
    sa.Column("number", Serial, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("direction", sa.String(3), nullable=False),
    sa.Column("request_id", sa.String(36), nullable=False),
    sa.Column("message_id", sa.String(36)),
    sa.Column("key_id", sa.String(36)),
    sa.Column("organisation", sa.String(200)),
    sa.Column("address", sa.String(64)),
    sa.Column("system", sa.String(40), nullable=False),
    sa.Column("operation", sa.String(80), nullable=False),
    sa.Column("method", sa.String(8), nullable=False),
    sa.Column("route", sa.String(200), nullable=False),
    sa.Column("dossier_code", sa.String(50)),
    sa.Column("status", sa.Integer),
    sa.Column("outcome", sa.String(60), nullable=False),
    sa.Column("took_ms", sa.Float, nullable=False),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    sa.Column("detail", sa.LargeBinary),
    # Part S, the access record: filled from the spool, null where a row did not come that way.
    sa.Column("node", sa.String(60)),
    sa.Column("number_in_node", sa.BigInteger),
    sa.Column("door", sa.String(20)),
    sa.Column("generation", sa.Integer),
    sa.Column("official", sa.String(100)),
    sa.Column("rule", sa.String(200)),
    sa.Column("rows", sa.BigInteger),
    sa.Column("field_groups", sa.Text),
    sa.Column("subject", sa.String(64)),
    sa.Column("purpose", sa.String(300)),
    sa.Column("correlation", sa.String(100)),
    sa.Column("upstream", sa.Text),
    sa.UniqueConstraint("node", "number_in_node"),
    sa.Index("ix_exchanges_at", "at"),
    _partly("ix_exchanges_key_id_at", "key_id", "at", where="key_id is not null"),
    sa.Index("ix_exchanges_request_id", "request_id"),
    _partly("ix_exchanges_dossier_code_at", "dossier_code", "at", where="dossier_code is not null"),
    # Part E, search: each over the few rows that its question is about.
    _partly("ix_exchanges_key_id_at_failed", "key_id", "at", where="outcome <> 'ok'"),
    _partly("ix_exchanges_subject_at", "subject", "at", where="subject is not null"),
    _partly("ix_exchanges_official_at", "official", "at", where="official is not null"),
    # Day files name rows by their number for good: it must not be given twice, even when the table was empty.
    sqlite_autoincrement=True,
    comment="The journal (sổ nhật ký): a row for every request and every outgoing call; `detail` is sealed",
)


@sa.event.listens_for(exchanges, "after_create")
def _divide(_table: sa.Table, connection: sa.Connection, **_facts: Any) -> None:
    """On PostgreSQL the record is divided by day, which a description of columns cannot say."""
    if connection.dialect.name == "postgresql":
        partitions.divide(connection)


leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("owner", sa.String(100), nullable=False),
    sa.Column("until", UtcTime, nullable=False),
    comment="Who may do a thing that only one may do at a time; runs out by itself when the owner dies",
)

timetable_runs = sa.Table(
    "timetable_runs",
    metadata,
    sa.Column("job", sa.String(60), primary_key=True),
    sa.Column("last_due_at", UtcTime, nullable=False),
    sa.Column("last_outcome", sa.String(200), nullable=False, server_default=""),
    comment="Up to when each job of the timetable has been started",
)

procedures = sa.Table(
    "procedures",
    metadata,
    sa.Column("code", sa.String(60), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("folded", sa.Text, nullable=False),
    sa.Column("field_code", sa.String(60), nullable=False, server_default=""),
    sa.Column("field_name", sa.Text, nullable=False, server_default=""),
    sa.Column("fields_folded", sa.Text, nullable=False, server_default=""),
    sa.Column("agency_code", sa.String(60), nullable=False, server_default=""),
    sa.Column("agency_name", sa.Text, nullable=False, server_default=""),
    sa.Column("agencies_folded", sa.Text, nullable=False, server_default=""),
    sa.Column("levels", sa.String(100), nullable=False, server_default=""),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, server_default=""),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("source_key", sa.String(80), nullable=False, server_default=""),
    sa.Column("first_seen_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),
    sa.Column("withdrawn_at", UtcTime),
    sa.Column("oddities", Json, nullable=False),
    sa.Index("ix_procedures_changed_at", "changed_at"),
    comment="Procedures (TTHC) as last synced; withdrawn ones stay",
)

procedure_versions = sa.Table(
    "procedure_versions",
    metadata,
    sa.Column("code", sa.String(60), sa.ForeignKey("procedures.code"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("changes", Json, nullable=False),
    sa.Column("run_id", sa.String(36), nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("valid_from", UtcTime, nullable=False),
    sa.Column("set_up_by", sa.Date),
    sa.Column("opened_by", sa.Date),
    comment="Every version of a procedure; `record` is compressed JSON, the dates are the deadlines of NA 13-14",
)

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("full", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("counts", Json, nullable=False),
    sa.Column("held", sa.String(500)),
    sa.Column("note", sa.String(500)),
    comment="Runs of the procedure sync",
)

sync_items = sa.Table(
    "sync_items",
    metadata,
    sa.Column("run_id", sa.String(36), sa.ForeignKey("sync_runs.id"), primary_key=True),
    sa.Column("code", sa.String(60), primary_key=True),
    sa.Column("outcome", sa.String(12), nullable=False),
    sa.Column("detail", Json, nullable=False),
    comment="What one run did with one procedure: new, changed, unchanged, withdrawn, failed; with what was odd",
)

agencies = sa.Table(
    "agencies",
    metadata,
    sa.Column("code", sa.String(60), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("level", sa.String(40), nullable=False, server_default=""),
    sa.Column("seen_at", UtcTime, nullable=False),
    comment="The national list of agencies, as last synced",
)

administrative_fields = sa.Table(
    "administrative_fields",
    metadata,
    sa.Column("code", sa.String(60), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sector", sa.String(60), nullable=False, server_default=""),
    sa.Column("seen_at", UtcTime, nullable=False),
    comment="The national list of fields of administration (lĩnh vực), as last synced",
)

places = sa.Table(
    "places",
    metadata,
    sa.Column("code", sa.String(10), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False, server_default=""),
    sa.Column("province_code", sa.String(10), nullable=False),
    sa.Column("valid_from", sa.Date, nullable=False),
    comment="Communes, imported from the operator's own file",
)

place_changes = sa.Table(
    "place_changes",
    metadata,
    sa.Column("old_code", sa.String(10), primary_key=True),
    sa.Column("new_code", sa.String(10), primary_key=True),
    sa.Column("old_name", sa.String(200), nullable=False, server_default=""),
    sa.Column("divided", sa.Boolean, nullable=False),
    comment="Which old commune went into which new ones",
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("number", Serial, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("kind", sa.String(60), nullable=False),
    sa.Column("subject", sa.String(100), nullable=False, index=True),
    sa.Column("occurred_at", UtcTime, nullable=False),
    sa.Column("facts", Json, nullable=False),
    comment="What happened, for those who subscribe; holds no personal data",
)

dossiers = sa.Table(
    "dossiers",
    metadata,
    sa.Column("code", sa.String(50), primary_key=True),
    sa.Column("owner_key_id", sa.String(36), nullable=False),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("procedure_code", sa.String(60), nullable=False, index=True),
    sa.Column("procedure_version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(24), nullable=False),
    sa.Column("status_at", UtcTime, nullable=False),
    sa.Column("changes", sa.Integer, nullable=False),
    sa.Column("received_at", UtcTime),
    sa.Column("due_at", UtcTime),
    sa.Column("rejected_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("returned_at", UtcTime),
    sa.Column("answer_by", UtcTime),
    sa.Column("supplement_by", UtcTime),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    comment="Dossiers (hồ sơ); `record` is sealed, personal data stands nowhere else in this table",
)

status_changes = sa.Table(
    "status_changes",
    metadata,
    sa.Column("dossier_code", sa.String(50), sa.ForeignKey("dossiers.code"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("change_key", sa.String(110), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("status", sa.String(24), nullable=False),
    sa.Column("occurred_at", UtcTime, nullable=False),
    sa.Column("accepted_at", UtcTime, nullable=False),
    sa.Column("message_id", sa.String(36), nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("unusual", sa.String(100), nullable=False, server_default=""),
    sa.UniqueConstraint("dossier_code", "change_key"),
    comment="Every change of status: when it happened and when the hub took it",
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("seq", Serial, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("target", sa.String(40), nullable=False),
    sa.Column("lane", sa.String(60), nullable=False),
    sa.Column("operation", sa.String(40), nullable=False),
    sa.Column("request_id", sa.String(36), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("steps_done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("look_first", sa.Boolean, nullable=False, default=False),
    sa.Column("first_of_lane", sa.Boolean, nullable=False, default=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", UtcTime, nullable=False),
    sa.Column("leased_by", sa.String(60)),
    sa.Column("leased_until", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("waiting_since", UtcTime, nullable=False),
    sa.Column("settled_at", UtcTime),
    sa.Column("last_code", sa.String(60)),
    sa.Column("last_error", sa.String(500)),
    _partly("ix_messages_pending", "target", "due_at", "seq", where="state = 'pending'"),
    _partly("ix_messages_unfinished", "target", "lane", "seq", where="state in ('pending', 'in_flight', 'dead')"),
    _partly("ix_messages_leased", "leased_until", where="state = 'in_flight'"),
    sa.Index("ix_messages_lane_seq", "lane", "seq"),
    comment="The outbox: what was promised to another system. `payload` is sealed",
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("message_id", sa.String(36), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("took_ms", sa.Float, nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("code", sa.String(60), nullable=False),
    sa.Column("detail", sa.String(500), nullable=False, server_default=""),
    sa.Column("steps_done", sa.Integer, nullable=False),
    comment="Each try to deliver a message, and what was said",
)

targets = sa.Table(
    "targets",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False, server_default=""),
    sa.Column("failures_in_row", sa.Integer, nullable=False, server_default="0"),
    sa.Column("probe_at", UtcTime),
    sa.Column("last_success_at", UtcTime),
    sa.Column("changed_at", UtcTime, nullable=False),
    comment="Systems that messages go to: active, paused by a person, or suspended because they keep failing",
)


# ---- proof of possession: what is registered for a key beside its secret, and what the key itself demands

key_proofs = sa.Table(
    "key_proofs",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("key_id", sa.String(36), sa.ForeignKey("api_keys.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("name", sa.String(100), nullable=False, server_default=""),
    sa.Column("algorithm", sa.String(20), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False, server_default=""),
    sa.Column("thumbprint", sa.String(64), nullable=False),
    sa.Column("valid_until", UtcTime),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("added_by", sa.String(100), nullable=False),
    sa.Column("removed_at", UtcTime),
    sa.Column("removed_by", sa.String(100)),
    comment="Public keys and client certificates registered for API keys; nothing secret",
)

key_proof_rules = sa.Table(
    "key_proof_rules",
    metadata,
    sa.Column("key_id", sa.String(36), sa.ForeignKey("api_keys.id"), primary_key=True),
    sa.Column("required", Json, nullable=False),
    comment="Proofs of which every call with a key must carry one, whatever the operation",
)


# ---- officials (cán bộ) who may ask about residents, and what was asked

officials = sa.Table(
    "officials",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("code", sa.String(20), nullable=False),
    sa.Column("account", sa.String(100), nullable=False),
    sa.Column("unit_code", sa.String(35), nullable=False),
    sa.Column("unit_name", sa.String(200), nullable=False, server_default=""),
    sa.Column("procedures", Json, nullable=False),
    sa.Column("valid_from", UtcTime, nullable=False),
    sa.Column("valid_until", UtcTime, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("registered_at", UtcTime, nullable=False),
    sa.Column("registered_by", sa.String(100), nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("ended_by", sa.String(100)),
    sa.Column("ended_reason", sa.String(500)),
    sa.Column("replaced_by", sa.String(36)),
    sa.Column("last_used_at", UtcTime),
    sa.Index("ix_officials_code", "code"),
    sa.Index("ix_officials_account", "account"),
    _partly("ix_officials_unit_code", "unit_code", where="ended_at is null"),
    # One holder at a time; those before stay for the history.
    sa.Index(
        "uq_officials_code_in_force",
        "code",
        unique=True,
        sqlite_where=sa.text("ended_at is null"),
        postgresql_where=sa.text("ended_at is null"),
    ),
    sa.Index(
        "uq_officials_account_in_force",
        "account",
        unique=True,
        sqlite_where=sa.text("ended_at is null"),
        postgresql_where=sa.text("ended_at is null"),
    ),
    comment="The register of officials (HG 10.1); `record` is sealed: name, telephone, mail, position",
)

lookups = sa.Table(
    "lookups",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("request_id", sa.String(36), nullable=False),
    sa.Column("key_id", sa.String(36), nullable=False),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("operation", sa.String(80), nullable=False),
    sa.Column("system", sa.String(40), nullable=False),
    sa.Column("number", sa.String(40), nullable=False, unique=True),
    sa.Column("official_id", sa.String(36)),
    sa.Column("official_code", sa.String(20)),
    sa.Column("named_by", sa.String(12), nullable=False, server_default=""),
    # A signed assertion is good for one question: the digest is unique, whoever restarts in between.
    sa.Column("assertion", sa.String(64), unique=True),
    sa.Column("unit_code", sa.String(35), nullable=False, server_default=""),
    sa.Column("dossier_code", sa.String(50)),
    sa.Column("procedure_code", sa.String(60), nullable=False, server_default=""),
    sa.Column("purpose", sa.String(300), nullable=False),
    sa.Column("field_groups", Json, nullable=False),
    sa.Column("subject", sa.String(64)),
    sa.Column("exception_id", sa.String(36)),
    sa.Column("repeats", sa.String(36)),
    sa.Column("outcome", sa.String(60), nullable=False, server_default="asked"),
    sa.Column("answered_at", UtcTime),
    sa.Column("rows", sa.Integer),
    sa.Column("offered", Json),
    sa.Index("ix_lookups_at", "at"),
    sa.Index("ix_lookups_dossier_code_at", "dossier_code", "at"),
    sa.Index("ix_lookups_official_id_at", "official_id", "at"),
    _partly("ix_lookups_unanswered", "at", where="answered_at is null"),
    _partly("ix_lookups_subject_at", "subject", "at", where="subject is not null"),
    comment="Questions to national registers: the intention is written before, the outcome after (HG 10.2)",
)

lookup_exceptions = sa.Table(
    "lookup_exceptions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("official_id", sa.String(36), sa.ForeignKey("officials.id"), nullable=False, index=True),
    sa.Column("dossier_code", sa.String(50)),
    sa.Column("unit_code", sa.String(35)),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("granted_at", UtcTime, nullable=False),
    sa.Column("granted_by", sa.String(100), nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("ended_by", sa.String(100)),
    comment="Officials who may ask about dossiers of another unit, by name and until a stated day",
)

lookup_rules = sa.Table(
    "lookup_rules",
    metadata,
    sa.Column("procedure_code", sa.String(60), primary_key=True),
    sa.Column("field_groups", Json, nullable=False),
    sa.Column("service_code", sa.String(20), nullable=False, server_default=""),
    sa.Column("set_at", UtcTime, nullable=False),
    sa.Column("set_by", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False, server_default=""),
    comment="Which groups of personal fields a procedure may ask for; without a row only the least",
)

paper_uses = sa.Table(
    "paper_uses",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("lookup_id", sa.String(36), nullable=False, index=True),
    sa.Column("dossier_code", sa.String(50), nullable=False, index=True),
    sa.Column("official_code", sa.String(20)),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("paper_code", sa.String(100), nullable=False),
    sa.Column("paper_number", sa.String(200), nullable=False, server_default=""),
    sa.Column("agency", sa.String(200), nullable=False, server_default=""),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("signature", sa.String(20), nullable=False),
    sa.Column("signers", Json, nullable=False),
    comment="Papers out of the electronic data store that a dossier made use of (HG 9.2): the fact, not the file",
)


# ---- payments: what a dossier owes, the attempts to pay it, and what the intermediaries said

obligations = sa.Table(
    "obligations",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("dossier_code", sa.String(50), sa.ForeignKey("dossiers.code"), nullable=False),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("procedure_code", sa.String(60), nullable=False),
    sa.Column("amount_vnd", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("paid_by", sa.String(36)),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("agency", sa.String(200), nullable=False, server_default=""),
    # What would be owed without the rule of the province, and the rule that made it less or nothing.
    sa.Column("declared_vnd", sa.BigInteger),
    sa.Column("fee_rule_id", sa.String(36)),
    sa.UniqueConstraint("dossier_code", "name"),
    comment="What a dossier owes (nghĩa vụ tài chính); `paid_by` is the one attempt by which it is paid",
)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("reference", sa.String(20), nullable=False, unique=True),
    sa.Column("obligation_id", sa.String(36), sa.ForeignKey("obligations.id"), nullable=False, index=True),
    sa.Column("dossier_code", sa.String(50), nullable=False, index=True),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("amount_vnd", sa.BigInteger, nullable=False),
    # What came in by a verified word, whether it counts or waits for a person; and what was given back of it.
    sa.Column("received_vnd", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("refunded_vnd", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("reversed", sa.Boolean, nullable=False, default=False),
    sa.Column("closed_at", UtcTime),
    sa.Column("partner", sa.String(100), nullable=False, server_default=""),
    sa.Column("provider_reference", sa.String(100), nullable=False, server_default=""),
    sa.Column("paid_reference", sa.String(100), nullable=False, server_default=""),
    sa.Column("provider_code", sa.String(60), nullable=False, server_default=""),
    sa.Column("key_id", sa.String(36), nullable=False),
    sa.Column("request_id", sa.String(36), nullable=False),
    # Sealed: the order with its payer, and what the intermediary gave for it.
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("started", sa.LargeBinary),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("heard_at", UtcTime),
    sa.Column("paid_at", UtcTime),
    sa.Column("settled_at", UtcTime),
    sa.Column("settled_by", sa.String(10)),
    sa.Column("query_at", UtcTime),
    sa.Column("queries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("alerted_at", UtcTime),
    sa.Column("receipt_at", UtcTime),
    sa.Column("receipt_tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_code", sa.String(60), nullable=False, server_default=""),
    # Said by a second source too: the intermediary's statement, or a query after a callback.
    sa.Column("confirmed_at", UtcTime),
    sa.Column("confirmed_by", sa.String(10)),
    _partly("ix_payments_query_at", "query_at", where="query_at is not null"),
    _partly("ix_payments_receipt_at", "receipt_at", where="receipt_at is not null"),
    _partly("ix_payments_silent", "created_at", where="state in ('created', 'pending')"),
    sa.Index("ix_payments_paid_at", "provider", "paid_at"),
    comment="Attempts to pay (lần thanh toán): money becomes true only through bus/flows/payment_settlement",
)

payment_messages = sa.Table(
    "payment_messages",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("contract", sa.String(40), nullable=False),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("address", sa.String(64), nullable=False, server_default=""),
    sa.Column("payment_id", sa.String(36)),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False, server_default=""),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("ix_payment_messages_at", "at"),
    _partly("ix_payment_messages_payment_id", "payment_id", where="payment_id is not null"),
    comment="Everything that called back about payments, genuine or not; `body` is the raw message, sealed",
)

payment_questions = sa.Table(
    "payment_questions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("payment_id", sa.String(36), sa.ForeignKey("payments.id"), nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("fact", sa.String(200), nullable=False),
    sa.Column("amount_vnd", sa.BigInteger),
    sa.Column("facts", Json, nullable=False),
    sa.Column("asked_at", UtcTime, nullable=False),
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_by", sa.String(100)),
    sa.Column("decision", sa.String(20)),
    sa.Column("reason", sa.String(500)),
    sa.UniqueConstraint("payment_id", "kind", "fact"),
    _partly("ix_payment_questions_open", "asked_at", where="closed_at is null"),
    comment="What a person must decide about payments: each contradiction once, closed with a reason",
)

payment_refunds = sa.Table(
    "payment_refunds",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("payment_id", sa.String(36), sa.ForeignKey("payments.id"), nullable=False, index=True),
    sa.Column("request_number", sa.String(20), nullable=False, unique=True),
    sa.Column("amount_vnd", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("requested_by", sa.String(100), nullable=False),
    sa.Column("approved_at", UtcTime),
    sa.Column("approved_by", sa.String(100)),
    sa.Column("sent_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("finished_by", sa.String(100)),
    sa.Column("provider_reference", sa.String(100), nullable=False, server_default=""),
    sa.Column("provider_code", sa.String(60), nullable=False, server_default=""),
    # `api`: the name is what the sector software said; `desk`: a person of the hub, as the machine knows them.
    sa.Column("requested_through", sa.String(8), nullable=False, server_default="api"),
    sa.Column("requested_key_id", sa.String(36)),
    sa.Column("query_at", UtcTime),
    sa.Column("queries", sa.Integer, nullable=False, server_default="0"),
    _partly("ix_payment_refunds_open", "requested_at", where="state in ('ready', 'sending')"),
    _partly("ix_payment_refunds_query_at", "query_at", where="query_at is not null"),
    comment="Money to be given back (hoàn tiền): who asked, who approved, how it ended",
)

payment_receipts = sa.Table(
    "payment_receipts",
    metadata,
    sa.Column("payment_id", sa.String(36), sa.ForeignKey("payments.id"), primary_key=True),
    sa.Column("content_type", sa.String(100), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("fetched_at", UtcTime, nullable=False),
    comment="Receipts and vouchers (biên lai, chứng từ) as the intermediary gave them; `record` is sealed",
)

# ---- rules of the province about fees, and reconciliation with the intermediaries' statements

fee_rules = sa.Table(
    "fee_rules",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("procedure_code", sa.String(60), nullable=False),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("obligation", sa.String(60), nullable=False),
    sa.Column("amount_vnd", sa.BigInteger, nullable=False),
    sa.Column("legal_basis", sa.String(500), nullable=False),
    sa.Column("note", sa.String(300), nullable=False, server_default=""),
    sa.Column("valid_from", sa.Date, nullable=False),
    sa.Column("valid_until", sa.Date),
    sa.Column("set_at", UtcTime, nullable=False),
    sa.Column("set_by", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("ended_by", sa.String(100)),
    sa.Column("ended_reason", sa.String(500)),
    _partly("ix_fee_rules_in_force", "procedure_code", "channel", where="ended_at is null"),
    comment="What the province takes instead of the procedure's fee (0 = free); an ended row is history",
)

reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("source", sa.String(10), nullable=False),
    sa.Column("shape", sa.String(40), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("day_from", sa.Date, nullable=False),
    sa.Column("day_until", sa.Date, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("file_name", sa.String(200), nullable=False),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("counts", Json, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("made_by", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("approved_at", UtcTime),
    sa.Column("approved_by", sa.String(100)),
    sa.UniqueConstraint("provider", "digest"),
    sa.Index("ix_reconciliations_made_at", "made_at"),
    comment="Comparisons of our book with an intermediary (đối soát); `raw` is the statement as it came, sealed",
)

statement_lines = sa.Table(
    "statement_lines",
    metadata,
    sa.Column("reconciliation_id", sa.String(36), sa.ForeignKey("reconciliations.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("our_reference", sa.String(40), nullable=False),
    sa.Column("provider_reference", sa.String(100), nullable=False),
    sa.Column("amount_vnd", sa.BigInteger, nullable=False),
    sa.Column("fee_vnd", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("occurred_at", UtcTime, nullable=False),
    sa.Column("payment_id", sa.String(36)),
    sa.Column("refund_id", sa.String(36)),
    _partly("ix_statement_lines_payment_id", "payment_id", where="payment_id is not null"),
    _partly("ix_statement_lines_refund_id", "refund_id", where="refund_id is not null"),
    comment="What a statement says of each movement of money; no name, no account, no text of a payer",
)

reconciliation_differences = sa.Table(
    "reconciliation_differences",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("reconciliation_id", sa.String(36), sa.ForeignKey("reconciliations.id"), nullable=False, index=True),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("fact", sa.String(250), nullable=False),
    sa.Column("payment_id", sa.String(36)),
    sa.Column("refund_id", sa.String(36)),
    sa.Column("line", sa.Integer),
    sa.Column("our_reference", sa.String(40), nullable=False, server_default=""),
    sa.Column("provider_reference", sa.String(100), nullable=False, server_default=""),
    sa.Column("ours_vnd", sa.BigInteger),
    sa.Column("theirs_vnd", sa.BigInteger),
    sa.Column("ours", sa.String(20), nullable=False, server_default=""),
    sa.Column("theirs", sa.String(20), nullable=False, server_default=""),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("found_at", UtcTime, nullable=False),
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_by", sa.String(100)),
    sa.Column("reason", sa.String(500)),
    sa.UniqueConstraint("provider", "kind", "fact"),
    _partly("ix_reconciliation_differences_open", "provider", "found_at", where="closed_at is null"),
    comment="Where our book and theirs do not agree: each once, closed by a person with a reason",
)


# ---- the post: parcels, where they are, and the numbers that carriers gave out beforehand

parcels = sa.Table(
    "parcels",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("number", sa.String(50), nullable=False, unique=True),
    sa.Column("dossier_code", sa.String(50), sa.ForeignKey("dossiers.code"), nullable=False, index=True),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("carrier", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # The event that the state comes from; none while only the answer to the booking tells.
    sa.Column("state_at", UtcTime),
    sa.Column("carrier_reference", sa.String(100), nullable=False, server_default=""),
    sa.Column("waybill", sa.String(40), nullable=False, server_default=""),
    sa.Column("cod_vnd", sa.BigInteger, nullable=False, server_default="0"),
    # The attempt that becomes true when the carrier says that it took the money.
    sa.Column("payment_id", sa.String(36), sa.ForeignKey("payments.id")),
    sa.Column("price_vnd", sa.BigInteger),
    sa.Column("key_id", sa.String(36), nullable=False),
    sa.Column("request_id", sa.String(36), nullable=False),
    # Sealed: the order with its two addresses; and a keyed digest of what was asked, to know it again.
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    # Where the feed stood before the first try: a lost answer is looked for from there on.
    sa.Column("look_from", sa.String(100), nullable=False, server_default=""),
    sa.Column("next_at", UtcTime),
    sa.Column("last_code", sa.String(60), nullable=False, server_default=""),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("booked_at", UtcTime),
    sa.Column("heard_at", UtcTime),
    sa.Column("late_at", UtcTime),
    sa.Column("lost_at", UtcTime),
    # Whether the dossier has been told of the delivery: due, done, refused; empty where it need not be.
    sa.Column("effect", sa.String(10), nullable=False, server_default=""),
    sa.Column("closed_at", UtcTime),
    # One parcel under way for a dossier in a direction.
    sa.Index(
        "uq_parcels_under_way",
        "dossier_code",
        "direction",
        unique=True,
        sqlite_where=sa.text("closed_at is null"),
        postgresql_where=sa.text("closed_at is null"),
    ),
    sa.Index("ix_parcels_carrier_reference", "carrier", "carrier_reference"),
    sa.Index("ix_parcels_waybill", "carrier", "waybill"),
    sa.Index("ix_parcels_created_at", "created_at"),
    _partly("ix_parcels_next_at", "next_at", where="next_at is not null"),
    _partly("ix_parcels_open", "carrier", "created_at", where="closed_at is null"),
    _partly("ix_parcels_effect", "effect", where="effect = 'due'"),
    comment="Parcels (bưu gửi): a dossier collected, a result delivered; the state follows from the events",
)

parcel_events = sa.Table(
    "parcel_events",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("carrier", sa.String(40), nullable=False),
    sa.Column("event_id", sa.String(100), nullable=False),
    sa.Column("parcel_id", sa.String(36), sa.ForeignKey("parcels.id")),
    sa.Column("number", sa.String(100), nullable=False),
    sa.Column("waybill", sa.String(100), nullable=False),
    sa.Column("occurred_at", UtcTime, nullable=False),
    sa.Column("taken_at", UtcTime, nullable=False),
    sa.Column("how", sa.String(10), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("carrier_code", sa.String(60), nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("carrier", "event_id"),
    sa.Index("ix_parcel_events_parcel_id_occurred_at", "parcel_id", "occurred_at"),
    sa.Index("ix_parcel_events_unknown", "carrier", "number"),
    comment="What carriers tell of parcels, each event once; `record` is sealed: sentence and money",
)

parcel_messages = sa.Table(
    "parcel_messages",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("carrier", sa.String(40), nullable=False),
    sa.Column("address", sa.String(64), nullable=False, server_default=""),
    sa.Column("parcel_id", sa.String(36)),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False, server_default=""),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("ix_parcel_messages_at", "at"),
    comment="Everything that called back about parcels, genuine or not; `body` is the raw message, sealed",
)

waybills = sa.Table(
    "waybills",
    metadata,
    sa.Column("carrier", sa.String(40), primary_key=True),
    sa.Column("number", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("dossier_code", sa.String(50)),
    sa.Column("direction", sa.String(16)),
    sa.Column("parcel_id", sa.String(36)),
    sa.Column("imported_at", UtcTime, nullable=False),
    sa.Column("imported_by", sa.String(100), nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    # Never two numbers for one dossier in one direction.
    sa.Index(
        "uq_waybills_dossier",
        "carrier",
        "dossier_code",
        "direction",
        unique=True,
        sqlite_where=sa.text("dossier_code is not null"),
        postgresql_where=sa.text("dossier_code is not null"),
    ),
    _partly("ix_waybills_free", "carrier", "number", where="state = 'free'"),
    comment="Waybill numbers that a carrier gave out beforehand (kho mã vận đơn): free, held or used",
)

tracking_cursors = sa.Table(
    "tracking_cursors",
    metadata,
    sa.Column("carrier", sa.String(40), primary_key=True),
    sa.Column("cursor", sa.String(100), nullable=False, server_default=""),
    sa.Column("moved_at", UtcTime),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_code", sa.String(60), nullable=False, server_default=""),
    # Since when its pool of waybill numbers is known to run low.
    sa.Column("low_at", UtcTime),
    comment="Where each carrier's feed was read to; moved in the transaction that stores the events",
)

parcel_questions = sa.Table(
    "parcel_questions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("parcel_id", sa.String(36), sa.ForeignKey("parcels.id"), nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("fact", sa.String(200), nullable=False),
    sa.Column("facts", Json, nullable=False),
    sa.Column("asked_at", UtcTime, nullable=False),
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_by", sa.String(100)),
    sa.Column("decision", sa.String(20)),
    sa.Column("reason", sa.String(500)),
    sa.UniqueConstraint("parcel_id", "kind", "fact"),
    _partly("ix_parcel_questions_open", "asked_at", where="closed_at is null"),
    comment="What a person must decide about parcels: each contradiction once, closed with a reason",
)


# ---- the desks (console/web): who may sign in, who is signed in, and what was tried

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(60), nullable=False, unique=True),
    sa.Column("full_name", sa.String(200), nullable=False),
    sa.Column("roles", Json, nullable=False),
    sa.Column("state", sa.String(10), nullable=False, server_default="active"),
    sa.Column("password_hash", sa.String(200)),
    sa.Column("password_at", UtcTime),
    sa.Column("must_change", sa.Boolean, nullable=False, default=False),
    sa.Column("totp_secret", sa.LargeBinary),
    sa.Column("totp_step", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("recovery", Json, nullable=False),
    # Who this is at the identity provider: a keyed digest, as it may be a citizen's number.
    sa.Column("outside", sa.String(64), unique=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(100), nullable=False),
    sa.Column("last_sign_in_at", UtcTime),
    sa.Column("disabled_at", UtcTime),
    sa.Column("disabled_by", sa.String(100)),
    sa.Column("disabled_reason", sa.String(500)),
    comment="Accounts of the desks: hash of the password, sealed secret of the second step",
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("method", sa.String(12), nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("last_at", UtcTime, nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False, index=True),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("agent", sa.String(300), nullable=False),
    sa.Column("agent_digest", sa.String(64), nullable=False),
    sa.Column("revoked_at", UtcTime),
    sa.Column("revoked_by", sa.String(100)),
    comment="Who is signed in at the desks, from where; of the cookie only a keyed digest",
)

sign_in_tries = sa.Table(
    "sign_in_tries",
    metadata,
    sa.Column("number", Serial, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime, nullable=False, index=True),
    sa.Column("name_digest", sa.String(64), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(12), nullable=False),
    comment="Tries to sign in, for their limit; the typed name only as a digest: people type passwords there",
)

saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("place", sa.String(60), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("query", sa.String(1000), nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.UniqueConstraint("account_id", "place", "name"),
    comment="Lists as a person of the desks keeps them: filters, order, columns; never personal data",
)


# What detection found, and what was done about it (monitoring/).

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("rule", sa.String(40), nullable=False),
    # What an alert is about, in one text: an open one for each rule and entity.
    sa.Column("entity", sa.String(300), nullable=False),
    sa.Column("key_id", sa.String(36), index=True),
    sa.Column("official", sa.String(100), index=True),
    sa.Column("address", sa.String(64)),
    sa.Column("operation", sa.String(120)),
    sa.Column("state", sa.String(14), nullable=False, server_default="open"),
    sa.Column("is_test", sa.Boolean, nullable=False, default=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("found_at", UtcTime, nullable=False, index=True),
    sa.Column("last_seen_at", UtcTime, nullable=False),
    sa.Column("count", sa.Integer, nullable=False, server_default="1"),
    sa.Column("seen", Json, nullable=False),
    sa.Column("normal", Json, nullable=False),
    sa.Column("sentence_vi", sa.String(1000), nullable=False),
    sa.Column("sentence_en", sa.String(1000), nullable=False),
    sa.Column("records", Json, nullable=False),
    sa.Column("assignee", sa.String(100)),
    sa.Column("acknowledged_at", UtcTime),
    sa.Column("acknowledged_by", sa.String(100)),
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_by", sa.String(100)),
    sa.Column("closed_as", sa.String(10)),
    sa.Column("closed_reason", sa.String(500)),
    sa.Column("grouped", sa.String(36), index=True),
    sa.Index("ix_alerts_state_found_at", "state", "found_at"),
    sa.Index("ix_alerts_rule_entity", "rule", "entity", "last_seen_at"),
    comment="Alerts (cảnh báo): what was seen, what is normal, and what became of it; of persons only digests",
)

alert_notes = sa.Table(
    "alert_notes",
    metadata,
    sa.Column("number", Serial, primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.String(36), sa.ForeignKey("alerts.id"), nullable=False, index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("by", sa.String(100), nullable=False),
    sa.Column("text", sa.String(2000), nullable=False),
    comment="What people wrote beside an alert",
)

alert_rules = sa.Table(
    "alert_rules",
    metadata,
    sa.Column("rule", sa.String(40), primary_key=True),
    sa.Column("mode", sa.String(6), nullable=False, server_default="on"),
    sa.Column("least_score", sa.Float, nullable=False, server_default="0"),
    # The automatic response, where a person switched it on: its kind, limit and minutes.
    sa.Column("response", sa.String(10)),
    sa.Column("response_limit", sa.String(40)),
    sa.Column("response_minutes", sa.Integer),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("changed_by", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    comment="Rules as people changed them: on, tested or off, from which score, and what happens by itself",
)

alert_silences = sa.Table(
    "alert_silences",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("rule", sa.String(40)),
    sa.Column("entity", sa.String(300)),
    sa.Column("until", UtcTime, nullable=False, index=True),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("made_by", sa.String(100), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("ended_at", UtcTime),
    comment="What opens no alert until an end date: a rule, an entity, or both",
)

baselines = sa.Table(
    "baselines",
    metadata,
    sa.Column("entity", sa.String(300), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("learned_until", UtcTime, nullable=False),
    sa.Column("body", Json, nullable=False),
    comment="What is normal for each key, by hour of the week; of persons nothing",
)

detection_positions = sa.Table(
    "detection_positions",
    metadata,
    sa.Column("node", sa.String(60), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    comment="Up to which record of each node detection has come",
)

responses = sa.Table(
    "responses",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("key_id", sa.String(36), sa.ForeignKey("api_keys.id"), nullable=False, index=True),
    sa.Column("alert_id", sa.String(36), sa.ForeignKey("alerts.id")),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("curb", sa.String(40)),
    sa.Column("begun_at", UtcTime, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
    sa.Column("begun_by", sa.String(100), nullable=False),
    sa.Column("is_automatic", sa.Boolean, nullable=False, default=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("undone_at", UtcTime),
    sa.Column("undone_by", sa.String(100)),
    sa.Column("undone_reason", sa.String(500)),
    comment="What holds a key back: throttled, proof demanded, or suspended, until when and by whom",
)


# Passkeys of the desks, planned maintenance, and which mapping files were in force when.

passkeys = sa.Table(
    "passkeys",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("credential_id", sa.LargeBinary, nullable=False, unique=True),
    # As its authenticator gave it: COSE in CBOR.
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    sa.Column("counter", sa.BigInteger, nullable=False),
    sa.Column("is_synced", sa.Boolean, nullable=False),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("last_used_at", UtcTime),
    comment="Passkeys of the desks' accounts: public keys only",
)

passkey_challenges = sa.Table(
    "passkey_challenges",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("ends_at", UtcTime, nullable=False, index=True),
    comment="Challenges that were answered, until they end by themselves: none is answered twice",
)

maintenance_windows = sa.Table(
    "maintenance_windows",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("system", sa.String(40), nullable=False),
    sa.Column("begins_at", UtcTime, nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False, index=True),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("planned_at", UtcTime, nullable=False),
    sa.Column("planned_by", sa.String(100), nullable=False),
    sa.Column("begun_at", UtcTime),
    sa.Column("cancelled_at", UtcTime),
    sa.Column("cancelled_by", sa.String(100)),
    comment="Planned maintenance of outside systems (lịch bảo trì); a target is paused while it lasts",
)

mapping_versions = sa.Table(
    "mapping_versions",
    metadata,
    sa.Column("number", Serial, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(100), nullable=False, index=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    comment="Mapping files and code lists as they were at a start, one row for each change; content as zlib",
)
