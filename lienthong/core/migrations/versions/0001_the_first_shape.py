"""the first shape."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lienthong.core import tables

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table('admin_acts',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('at', tables.UtcTime(), nullable=False),
    sa.Column('actor', sa.String(length=100), nullable=False),
    sa.Column('act', sa.String(length=60), nullable=False),
    sa.Column('object', sa.String(length=200), nullable=False),
    sa.Column('reason', sa.String(length=500), server_default='', nullable=False),
    sa.Column('before', sa.JSON(), nullable=True),
    sa.Column('after', sa.JSON(), nullable=True),
    sa.Column('outcome', sa.String(length=60), server_default='done', nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_admin_acts')),
    comment='What people did to the hub: who, when, why, before and after'
    )
    op.create_table('administrative_fields',
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('sector', sa.String(length=60), server_default='', nullable=False),
    sa.Column('seen_at', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_administrative_fields')),
    comment='The national list of fields of administration (lĩnh vực), as last synced'
    )
    op.create_table('agencies',
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('level', sa.String(length=40), server_default='', nullable=False),
    sa.Column('seen_at', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_agencies')),
    comment='The national list of agencies, as last synced'
    )
    op.create_table('api_keys',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('prefix', sa.String(length=24), nullable=False),
    sa.Column('environment', sa.String(length=8), nullable=False),
    sa.Column('organisation', sa.String(length=200), nullable=False),
    sa.Column('system', sa.String(length=200), nullable=False),
    sa.Column('custodian', sa.String(length=200), nullable=False),
    sa.Column('contact', sa.String(length=200), server_default='', nullable=False),
    sa.Column('purpose', sa.String(length=500), server_default='', nullable=False),
    sa.Column('decision_number', sa.String(length=100), server_default='', nullable=False),
    sa.Column('grants', sa.JSON(), nullable=False),
    sa.Column('limits', sa.JSON(), nullable=False),
    sa.Column('addresses', sa.JSON(), nullable=False),
    sa.Column('hours', sa.JSON(), nullable=False),
    sa.Column('issued_at', tables.UtcTime(), nullable=False),
    sa.Column('issued_by', sa.String(length=100), server_default='', nullable=False),
    sa.Column('approved_at', tables.UtcTime(), nullable=True),
    sa.Column('approved_by', sa.String(length=100), nullable=True),
    sa.Column('expires_at', tables.UtcTime(), nullable=False),
    sa.Column('confirm_by', tables.UtcTime(), nullable=False),
    sa.Column('confirmed_at', tables.UtcTime(), nullable=True),
    sa.Column('confirmed_by', sa.String(length=100), nullable=True),
    sa.Column('suspended_at', tables.UtcTime(), nullable=True),
    sa.Column('suspended_reason', sa.String(length=500), nullable=True),
    sa.Column('revoked_at', tables.UtcTime(), nullable=True),
    sa.Column('revoked_reason', sa.String(length=500), nullable=True),
    sa.Column('expiry_told', sa.Integer(), nullable=True),
    sa.Column('confirm_told', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_keys')),
    comment='API keys (khoá API): for whom, for what, how much, and how each stands; the secret is in no column'
    )
    op.create_table('attempts',
    sa.Column('message_id', sa.String(length=36), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('started_at', tables.UtcTime(), nullable=False),
    sa.Column('took_ms', sa.Float(), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('detail', sa.String(length=500), server_default='', nullable=False),
    sa.Column('steps_done', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('message_id', 'number', name=op.f('pk_attempts')),
    comment='Each try to deliver a message, and what was said'
    )
    op.create_table('dossiers',
    sa.Column('code', sa.String(length=50), nullable=False),
    sa.Column('owner_key_id', sa.String(length=36), nullable=False),
    sa.Column('organisation', sa.String(length=200), nullable=False),
    sa.Column('procedure_code', sa.String(length=60), nullable=False),
    sa.Column('procedure_version', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=24), nullable=False),
    sa.Column('status_at', tables.UtcTime(), nullable=False),
    sa.Column('changes', sa.Integer(), nullable=False),
    sa.Column('received_at', tables.UtcTime(), nullable=True),
    sa.Column('due_at', tables.UtcTime(), nullable=True),
    sa.Column('rejected_at', tables.UtcTime(), nullable=True),
    sa.Column('finished_at', tables.UtcTime(), nullable=True),
    sa.Column('returned_at', tables.UtcTime(), nullable=True),
    sa.Column('answer_by', tables.UtcTime(), nullable=True),
    sa.Column('supplement_by', tables.UtcTime(), nullable=True),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('record', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', tables.UtcTime(), nullable=False),
    sa.Column('updated_at', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_dossiers')),
    comment='Dossiers (hồ sơ); `record` is sealed, personal data stands nowhere else in this table'
    )
    op.create_index(op.f('ix_dossiers_procedure_code'), 'dossiers', ['procedure_code'], unique=False)
    op.create_table('events',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('kind', sa.String(length=60), nullable=False),
    sa.Column('subject', sa.String(length=100), nullable=False),
    sa.Column('occurred_at', tables.UtcTime(), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_events')),
    sa.UniqueConstraint('id', name=op.f('uq_events_id')),
    comment='What happened, for those who subscribe; holds no personal data'
    )
    op.create_index(op.f('ix_events_subject'), 'events', ['subject'], unique=False)
    op.create_table('exchanges',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('at', tables.UtcTime(), nullable=False),
    sa.Column('direction', sa.String(length=3), nullable=False),
    sa.Column('request_id', sa.String(length=36), nullable=False),
    sa.Column('message_id', sa.String(length=36), nullable=True),
    sa.Column('key_id', sa.String(length=36), nullable=True),
    sa.Column('organisation', sa.String(length=200), nullable=True),
    sa.Column('address', sa.String(length=64), nullable=True),
    sa.Column('system', sa.String(length=40), nullable=False),
    sa.Column('operation', sa.String(length=80), nullable=False),
    sa.Column('method', sa.String(length=8), nullable=False),
    sa.Column('route', sa.String(length=200), nullable=False),
    sa.Column('dossier_code', sa.String(length=50), nullable=True),
    sa.Column('status', sa.Integer(), nullable=True),
    sa.Column('outcome', sa.String(length=60), nullable=False),
    sa.Column('took_ms', sa.Float(), nullable=False),
    sa.Column('bytes_in', sa.BigInteger(), nullable=False),
    sa.Column('bytes_out', sa.BigInteger(), nullable=False),
    sa.Column('detail', sa.LargeBinary(), nullable=True),
    sa.Column('node', sa.String(length=60), nullable=True),
    sa.Column('number_in_node', sa.BigInteger(), nullable=True),
    sa.Column('door', sa.String(length=20), nullable=True),
    sa.Column('generation', sa.Integer(), nullable=True),
    sa.Column('official', sa.String(length=100), nullable=True),
    sa.Column('rule', sa.String(length=200), nullable=True),
    sa.Column('rows', sa.BigInteger(), nullable=True),
    sa.Column('field_groups', sa.Text(), nullable=True),
    sa.Column('subject', sa.String(length=64), nullable=True),
    sa.Column('purpose', sa.String(length=300), nullable=True),
    sa.Column('correlation', sa.String(length=100), nullable=True),
    sa.Column('upstream', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_exchanges')),
    sa.UniqueConstraint('node', 'number_in_node', name=op.f('uq_exchanges_node_number_in_node')),
    comment='The journal (sổ nhật ký): a row for every request and every outgoing call; `detail` is sealed',
    sqlite_autoincrement=True
    )
    op.create_index('ix_exchanges_at', 'exchanges', ['at'], unique=False)
    op.create_index('ix_exchanges_dossier_code_at', 'exchanges', ['dossier_code', 'at'], unique=False, sqlite_where=sa.text('dossier_code is not null'), postgresql_where=sa.text('dossier_code is not null'))
    op.create_index('ix_exchanges_key_id_at', 'exchanges', ['key_id', 'at'], unique=False, sqlite_where=sa.text('key_id is not null'), postgresql_where=sa.text('key_id is not null'))
    op.create_index('ix_exchanges_key_id_at_failed', 'exchanges', ['key_id', 'at'], unique=False, sqlite_where=sa.text("outcome <> 'ok'"), postgresql_where=sa.text("outcome <> 'ok'"))
    op.create_index('ix_exchanges_official_at', 'exchanges', ['official', 'at'], unique=False, sqlite_where=sa.text('official is not null'), postgresql_where=sa.text('official is not null'))
    op.create_index('ix_exchanges_request_id', 'exchanges', ['request_id'], unique=False)
    op.create_index('ix_exchanges_subject_at', 'exchanges', ['subject', 'at'], unique=False, sqlite_where=sa.text('subject is not null'), postgresql_where=sa.text('subject is not null'))
    op.create_table('idempotency_keys',
    sa.Column('key_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('request_digest', sa.String(length=64), nullable=False),
    sa.Column('status', sa.Integer(), nullable=True),
    sa.Column('answer', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('key_id', 'name', name=op.f('pk_idempotency_keys')),
    comment='Idempotency-Key of POST requests and the answers given; answers are sealed'
    )
    op.create_index(op.f('ix_idempotency_keys_created_at'), 'idempotency_keys', ['created_at'], unique=False)
    op.create_table('key_uses',
    sa.Column('key_id', sa.String(length=36), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('first_at', tables.UtcTime(), nullable=False),
    sa.Column('last_at', tables.UtcTime(), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=False),
    sa.Column('refused', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key_id', 'generation', 'address', name=op.f('pk_key_uses')),
    comment='From where a key was presented, first and last, how often served and how often refused'
    )
    op.create_table('leases',
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('owner', sa.String(length=100), nullable=False),
    sa.Column('until', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_leases')),
    comment='Who may do a thing that only one may do at a time; runs out by itself when the owner dies'
    )
    op.create_table('limit_counts',
    sa.Column('place', sa.String(length=200), nullable=False),
    sa.Column('period', sa.String(length=32), nullable=False),
    sa.Column('used', sa.BigInteger(), nullable=False),
    sa.Column('ends_at', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('place', 'period', name=op.f('pk_limit_counts')),
    comment='Calendar quotas used so far, so that a restart forgives nothing'
    )
    op.create_index(op.f('ix_limit_counts_ends_at'), 'limit_counts', ['ends_at'], unique=False)
    op.create_table('messages',
    sa.Column('seq', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('target', sa.String(length=40), nullable=False),
    sa.Column('lane', sa.String(length=60), nullable=False),
    sa.Column('operation', sa.String(length=40), nullable=False),
    sa.Column('request_id', sa.String(length=36), nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('steps_done', sa.Integer(), server_default='0', nullable=False),
    sa.Column('look_first', sa.Boolean(), nullable=False),
    sa.Column('first_of_lane', sa.Boolean(), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('due_at', tables.UtcTime(), nullable=False),
    sa.Column('leased_by', sa.String(length=60), nullable=True),
    sa.Column('leased_until', tables.UtcTime(), nullable=True),
    sa.Column('created_at', tables.UtcTime(), nullable=False),
    sa.Column('waiting_since', tables.UtcTime(), nullable=False),
    sa.Column('settled_at', tables.UtcTime(), nullable=True),
    sa.Column('last_code', sa.String(length=60), nullable=True),
    sa.Column('last_error', sa.String(length=500), nullable=True),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_messages')),
    sa.UniqueConstraint('id', name=op.f('uq_messages_id')),
    comment='The outbox: what was promised to another system. `payload` is sealed'
    )
    op.create_index('ix_messages_lane_seq', 'messages', ['lane', 'seq'], unique=False)
    op.create_index('ix_messages_leased', 'messages', ['leased_until'], unique=False, sqlite_where=sa.text("state = 'in_flight'"), postgresql_where=sa.text("state = 'in_flight'"))
    op.create_index('ix_messages_pending', 'messages', ['target', 'due_at', 'seq'], unique=False, sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'"))
    op.create_index('ix_messages_unfinished', 'messages', ['target', 'lane', 'seq'], unique=False, sqlite_where=sa.text("state in ('pending', 'in_flight', 'dead')"), postgresql_where=sa.text("state in ('pending', 'in_flight', 'dead')"))
    op.create_table('place_changes',
    sa.Column('old_code', sa.String(length=10), nullable=False),
    sa.Column('new_code', sa.String(length=10), nullable=False),
    sa.Column('old_name', sa.String(length=200), server_default='', nullable=False),
    sa.Column('divided', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('old_code', 'new_code', name=op.f('pk_place_changes')),
    comment='Which old commune went into which new ones'
    )
    op.create_table('places',
    sa.Column('code', sa.String(length=10), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=40), server_default='', nullable=False),
    sa.Column('province_code', sa.String(length=10), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_places')),
    comment="Communes, imported from the operator's own file"
    )
    op.create_table('procedures',
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('folded', sa.Text(), nullable=False),
    sa.Column('field_code', sa.String(length=60), server_default='', nullable=False),
    sa.Column('field_name', sa.Text(), server_default='', nullable=False),
    sa.Column('fields_folded', sa.Text(), server_default='', nullable=False),
    sa.Column('agency_code', sa.String(length=60), server_default='', nullable=False),
    sa.Column('agency_name', sa.Text(), server_default='', nullable=False),
    sa.Column('agencies_folded', sa.Text(), server_default='', nullable=False),
    sa.Column('levels', sa.String(length=100), server_default='', nullable=False),
    sa.Column('status', sa.String(length=12), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), server_default='', nullable=False),
    sa.Column('source', sa.String(length=40), nullable=False),
    sa.Column('source_key', sa.String(length=80), server_default='', nullable=False),
    sa.Column('first_seen_at', tables.UtcTime(), nullable=False),
    sa.Column('changed_at', tables.UtcTime(), nullable=False),
    sa.Column('seen_at', tables.UtcTime(), nullable=False),
    sa.Column('withdrawn_at', tables.UtcTime(), nullable=True),
    sa.Column('oddities', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_procedures')),
    comment='Procedures (TTHC) as last synced; withdrawn ones stay'
    )
    op.create_index('ix_procedures_changed_at', 'procedures', ['changed_at'], unique=False)
    op.create_table('sync_runs',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('source', sa.String(length=40), nullable=False),
    sa.Column('full', sa.Boolean(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('started_at', tables.UtcTime(), nullable=False),
    sa.Column('finished_at', tables.UtcTime(), nullable=True),
    sa.Column('counts', sa.JSON(), nullable=False),
    sa.Column('held', sa.String(length=500), nullable=True),
    sa.Column('note', sa.String(length=500), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sync_runs')),
    comment='Runs of the procedure sync'
    )
    op.create_table('targets',
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=500), server_default='', nullable=False),
    sa.Column('failures_in_row', sa.Integer(), server_default='0', nullable=False),
    sa.Column('probe_at', tables.UtcTime(), nullable=True),
    sa.Column('last_success_at', tables.UtcTime(), nullable=True),
    sa.Column('changed_at', tables.UtcTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_targets')),
    comment='Systems that messages go to: active, paused by a person, or suspended because they keep failing'
    )
    op.create_table('timetable_runs',
    sa.Column('job', sa.String(length=60), nullable=False),
    sa.Column('last_due_at', tables.UtcTime(), nullable=False),
    sa.Column('last_outcome', sa.String(length=200), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('job', name=op.f('pk_timetable_runs')),
    comment='Up to when each job of the timetable has been started'
    )
    op.create_table('key_generations',
    sa.Column('key_id', sa.String(length=36), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('prefix', sa.String(length=24), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('made_at', tables.UtcTime(), nullable=False),
    sa.Column('made_by', sa.String(length=100), server_default='', nullable=False),
    sa.Column('ends_at', tables.UtcTime(), nullable=True),
    sa.ForeignKeyConstraint(['key_id'], ['api_keys.id'], name=op.f('fk_key_generations_key_id')),
    sa.PrimaryKeyConstraint('key_id', 'number', name=op.f('pk_key_generations')),
    sa.UniqueConstraint('digest', name=op.f('uq_key_generations_digest')),
    comment='What is presented for a key: only a keyed digest. Rotation adds one and ends the one before'
    )
    op.create_index(op.f('ix_key_generations_prefix'), 'key_generations', ['prefix'], unique=False)
    op.create_table('key_proof_rules',
    sa.Column('key_id', sa.String(length=36), nullable=False),
    sa.Column('required', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['key_id'], ['api_keys.id'], name=op.f('fk_key_proof_rules_key_id')),
    sa.PrimaryKeyConstraint('key_id', name=op.f('pk_key_proof_rules')),
    comment='Proofs of which every call with a key must carry one, whatever the operation'
    )
    op.create_table('key_proofs',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('key_id', sa.String(length=36), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('name', sa.String(length=100), server_default='', nullable=False),
    sa.Column('algorithm', sa.String(length=20), nullable=False),
    sa.Column('public_key', sa.Text(), server_default='', nullable=False),
    sa.Column('thumbprint', sa.String(length=64), nullable=False),
    sa.Column('valid_until', tables.UtcTime(), nullable=True),
    sa.Column('added_at', tables.UtcTime(), nullable=False),
    sa.Column('added_by', sa.String(length=100), nullable=False),
    sa.Column('removed_at', tables.UtcTime(), nullable=True),
    sa.Column('removed_by', sa.String(length=100), nullable=True),
    sa.ForeignKeyConstraint(['key_id'], ['api_keys.id'], name=op.f('fk_key_proofs_key_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_key_proofs')),
    comment='Public keys and client certificates registered for API keys; nothing secret'
    )
    op.create_index(op.f('ix_key_proofs_key_id'), 'key_proofs', ['key_id'], unique=False)
    op.create_table('procedure_versions',
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('record', sa.LargeBinary(), nullable=False),
    sa.Column('changes', sa.JSON(), nullable=False),
    sa.Column('run_id', sa.String(length=36), nullable=False),
    sa.Column('source', sa.String(length=40), nullable=False),
    sa.Column('valid_from', tables.UtcTime(), nullable=False),
    sa.Column('set_up_by', sa.Date(), nullable=True),
    sa.Column('opened_by', sa.Date(), nullable=True),
    sa.ForeignKeyConstraint(['code'], ['procedures.code'], name=op.f('fk_procedure_versions_code')),
    sa.PrimaryKeyConstraint('code', 'version', name=op.f('pk_procedure_versions')),
    comment='Every version of a procedure; `record` is compressed JSON, the dates are the deadlines of NA 13-14'
    )
    op.create_table('status_changes',
    sa.Column('dossier_code', sa.String(length=50), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('change_key', sa.String(length=110), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=24), nullable=False),
    sa.Column('occurred_at', tables.UtcTime(), nullable=False),
    sa.Column('accepted_at', tables.UtcTime(), nullable=False),
    sa.Column('message_id', sa.String(length=36), nullable=False),
    sa.Column('record', sa.LargeBinary(), nullable=False),
    sa.Column('unusual', sa.String(length=100), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['dossier_code'], ['dossiers.code'], name=op.f('fk_status_changes_dossier_code')),
    sa.PrimaryKeyConstraint('dossier_code', 'number', name=op.f('pk_status_changes')),
    sa.UniqueConstraint('dossier_code', 'change_key', name=op.f('uq_status_changes_dossier_code_change_key')),
    comment='Every change of status: when it happened and when the hub took it'
    )
    op.create_table('sync_items',
    sa.Column('run_id', sa.String(length=36), nullable=False),
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('outcome', sa.String(length=12), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['sync_runs.id'], name=op.f('fk_sync_items_run_id')),
    sa.PrimaryKeyConstraint('run_id', 'code', name=op.f('pk_sync_items')),
    comment='What one run did with one procedure: new, changed, unchanged, withdrawn, failed; with what was odd'
    )
    if op.get_bind().dialect.name == "postgresql":
        # A message changes its state several times: kept aside and uncompressed (it is sealed, hence random), its
        # payload is not copied each time.
        op.execute("ALTER TABLE messages ALTER COLUMN payload SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE messages SET (toast_tuple_target = 256, fillfactor = 70)")


def downgrade() -> None:
    """Go back."""
    op.drop_table('sync_items')
    op.drop_table('status_changes')
    op.drop_table('procedure_versions')
    op.drop_index(op.f('ix_key_proofs_key_id'), table_name='key_proofs')
    op.drop_table('key_proofs')
    op.drop_table('key_proof_rules')
    op.drop_index(op.f('ix_key_generations_prefix'), table_name='key_generations')
    op.drop_table('key_generations')
    op.drop_table('timetable_runs')
    op.drop_table('targets')
    op.drop_table('sync_runs')
    op.drop_index('ix_procedures_changed_at', table_name='procedures')
    op.drop_table('procedures')
    op.drop_table('places')
    op.drop_table('place_changes')
    op.drop_index('ix_messages_unfinished', table_name='messages', sqlite_where=sa.text("state in ('pending', 'in_flight', 'dead')"), postgresql_where=sa.text("state in ('pending', 'in_flight', 'dead')"))
    op.drop_index('ix_messages_pending', table_name='messages', sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'"))
    op.drop_index('ix_messages_leased', table_name='messages', sqlite_where=sa.text("state = 'in_flight'"), postgresql_where=sa.text("state = 'in_flight'"))
    op.drop_index('ix_messages_lane_seq', table_name='messages')
    op.drop_table('messages')
    op.drop_index(op.f('ix_limit_counts_ends_at'), table_name='limit_counts')
    op.drop_table('limit_counts')
    op.drop_table('leases')
    op.drop_table('key_uses')
    op.drop_index(op.f('ix_idempotency_keys_created_at'), table_name='idempotency_keys')
    op.drop_table('idempotency_keys')
    op.drop_index('ix_exchanges_subject_at', table_name='exchanges', sqlite_where=sa.text('subject is not null'), postgresql_where=sa.text('subject is not null'))
    op.drop_index('ix_exchanges_request_id', table_name='exchanges')
    op.drop_index('ix_exchanges_official_at', table_name='exchanges', sqlite_where=sa.text('official is not null'), postgresql_where=sa.text('official is not null'))
    op.drop_index('ix_exchanges_key_id_at_failed', table_name='exchanges', sqlite_where=sa.text("outcome <> 'ok'"), postgresql_where=sa.text("outcome <> 'ok'"))
    op.drop_index('ix_exchanges_key_id_at', table_name='exchanges', sqlite_where=sa.text('key_id is not null'), postgresql_where=sa.text('key_id is not null'))
    op.drop_index('ix_exchanges_dossier_code_at', table_name='exchanges', sqlite_where=sa.text('dossier_code is not null'), postgresql_where=sa.text('dossier_code is not null'))
    op.drop_index('ix_exchanges_at', table_name='exchanges')
    op.drop_table('exchanges')
    op.drop_index(op.f('ix_events_subject'), table_name='events')
    op.drop_table('events')
    op.drop_index(op.f('ix_dossiers_procedure_code'), table_name='dossiers')
    op.drop_table('dossiers')
    op.drop_table('attempts')
    op.drop_table('api_keys')
    op.drop_table('agencies')
    op.drop_table('administrative_fields')
    op.drop_table('admin_acts')
