"""Create the tables of the kernel."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261121_2230"
down_revision = None
branch_labels = ("kernel",)
depends_on = None
#: The least revision of the kernel's tables this one needs, checked before the first statement.
needs_kernel = None

#: The full-text index of ``search_entry``: FTS5 kept by triggers on SQLite, GIN on PostgreSQL; no model describes it.
FULL_TEXT = {
    "sqlite": (
        "CREATE VIRTUAL TABLE search_entry_fts USING fts5(title, body, content='search_entry', content_rowid='id', tokenize='unicode61 remove_diacritics 0', prefix='2 3')",
        "CREATE TRIGGER search_entry_ai AFTER INSERT ON search_entry BEGIN INSERT INTO search_entry_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END",
        "CREATE TRIGGER search_entry_ad AFTER DELETE ON search_entry BEGIN INSERT INTO search_entry_fts(search_entry_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); END",
        "CREATE TRIGGER search_entry_au AFTER UPDATE ON search_entry BEGIN INSERT INTO search_entry_fts(search_entry_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); INSERT INTO search_entry_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END",
    ),
    "postgresql": (
        "CREATE INDEX ix_search_entry_words ON search_entry USING gin ((setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', body), 'B')))",
    ),
}


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "audit_log",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("at", database.UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("actor_uid", database.Uid(), nullable=True),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("record_uid", database.Uid(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("uid", name=op.f("uq_audit_log_uid")),
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_log_actor_uid_id"), ["actor_uid", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_log_at"), ["at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_log_request_id_record_type"), ["request_id", "record_type"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_audit_log_record_type_record_uid_id"), ["record_type", "record_uid", "id"], unique=False
        )

    op.create_table(
        "data_map",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("plugin", sa.String(length=40), nullable=False),
        sa.Column("table_name", sa.String(length=120), nullable=False),
        sa.Column("column_name", sa.String(length=120), nullable=False),
        sa.Column("points_to", sa.String(length=120), nullable=True),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.Column("merge_rule", sa.String(length=120), nullable=True),
        sa.Column("retention", sa.String(length=120), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_map")),
        sa.UniqueConstraint("table_name", "column_name", name=op.f("uq_data_map_table_name_column_name")),
    )
    with op.batch_alter_table("data_map", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_data_map_plugin"), ["plugin"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("occurred_at", database.UTCDateTime(), nullable=False),
        sa.Column("payload", database.Json, nullable=False),
        sa.Column("customer_uid", database.Uid(), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("causation_depth", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("uid", name=op.f("uq_event_uid")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_customer_uid_id"), ["customer_uid", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "exchange_rate",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("from_currency", sa.String(length=3), nullable=False),
        sa.Column("to_currency", sa.String(length=3), nullable=False),
        sa.Column("rate", database.Rate(), nullable=False),
        sa.Column("valid_on", sa.Date(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_rate")),
        sa.UniqueConstraint(
            "from_currency", "to_currency", "valid_on", name=op.f("uq_exchange_rate_from_currency_to_currency_valid_on")
        ),
        sa.UniqueConstraint("uid", name=op.f("uq_exchange_rate_uid")),
    )
    with op.batch_alter_table("exchange_rate", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exchange_rate_valid_on_id"), ["valid_on", "id"], unique=False)

    op.create_table(
        "module",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("changed_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_module")),
    )
    op.create_table(
        "product",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sku", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("category", sa.String(length=120), nullable=True),
        sa.Column("unit_price", database.Amount(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("tax_rate", database.Amount(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("sku", name=op.f("uq_product_sku")),
        sa.UniqueConstraint("uid", name=op.f("uq_product_uid")),
    )
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_category"), ["category"], unique=False)
        batch_op.create_index(batch_op.f("ix_product_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_product_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "role",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.String(length=255), server_default="", nullable=False),
        sa.Column("builtin", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("name", name=op.f("uq_role_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_role_uid")),
    )
    op.create_table(
        "search_entry",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("record_id", database.Key, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_entry")),
        sa.UniqueConstraint("record_type", "record_id", name=op.f("uq_search_entry_record_type_record_id")),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("value", database.Json, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
    )
    op.create_table(
        "team",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("parent_id", database.Key, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["team.id"], name=op.f("fk_team_parent_id_team")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
        sa.UniqueConstraint("name", name=op.f("uq_team_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_team_uid")),
    )
    with op.batch_alter_table("team", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_team_parent_id"), ["parent_id"], unique=False)

    op.create_table(
        "app_user",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("language", sa.String(length=10), server_default="en", nullable=False),
        sa.Column("timezone", sa.String(length=60), server_default="UTC", nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("session_epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_login_at", database.UTCDateTime(), nullable=True),
        sa.Column("failed_logins", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_until", database.UTCDateTime(), nullable=True),
        sa.Column("fs_webauthn_user_handle", sa.String(length=64), nullable=True),
        sa.Column("tf_primary_method", sa.String(length=64), nullable=True),
        sa.Column("tf_totp_secret", sa.String(length=255), nullable=True),
        sa.Column("mf_recovery_codes", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_app_user_team_id_team")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app_user")),
        sa.UniqueConstraint("email", name=op.f("uq_app_user_email")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_app_user_fs_uniquifier")),
        sa.UniqueConstraint("fs_webauthn_user_handle", name=op.f("uq_app_user_fs_webauthn_user_handle")),
        sa.UniqueConstraint("uid", name=op.f("uq_app_user_uid")),
    )
    with op.batch_alter_table("app_user", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_app_user_team_id"), ["team_id"], unique=False)

    op.create_table(
        "audit_payload",
        sa.Column("audit_uid", database.Uid(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("before", database.Json, nullable=True),
        sa.Column("after", database.Json, nullable=True),
        sa.ForeignKeyConstraint(
            ["audit_uid"], ["audit_log.uid"], name=op.f("fk_audit_payload_audit_uid_audit_log"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("audit_uid", name=op.f("pk_audit_payload")),
    )
    op.create_table(
        "job",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("module", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("event_id", database.Key, nullable=True),
        sa.Column("payload", database.Json, nullable=False),
        sa.Column("partition", sa.String(length=64), nullable=True),
        sa.Column("run_at", database.UTCDateTime(), nullable=False),
        sa.Column("state", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("leased_until", database.UTCDateTime(), nullable=True),
        sa.Column("worker", sa.String(length=80), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default="10", nullable=False),
        sa.Column("dedupe_key", sa.String(length=120), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("causation_depth", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("finished_at", database.UTCDateTime(), nullable=True),
        sa.Column("out_of_order", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_job_event_id_event"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("name", "dedupe_key", name=op.f("uq_job_name_dedupe_key")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_dead",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state = 3"),
            postgresql_where=sa.text("state = 3"),
        )
        batch_op.create_index(
            "ix_job_due",
            ["module", "run_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 0"),
            postgresql_where=sa.text("state = 0"),
        )
        batch_op.create_index(batch_op.f("ix_job_event_id"), ["event_id"], unique=False)
        batch_op.create_index(
            "ix_job_lease",
            ["leased_until"],
            unique=False,
            sqlite_where=sa.text("state = 1"),
            postgresql_where=sa.text("state = 1"),
        )
        batch_op.create_index(
            "ix_job_order",
            ["name", "partition", "id"],
            unique=False,
            sqlite_where=sa.text("state < 2 AND partition IS NOT NULL"),
            postgresql_where=sa.text("state < 2 AND partition IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_job_running",
            ["name", "partition"],
            unique=True,
            sqlite_where=sa.text("state = 1 AND partition IS NOT NULL"),
            postgresql_where=sa.text("state = 1 AND partition IS NOT NULL"),
        )

    op.create_table(
        "role_permission",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("role_id", database.Key, nullable=False),
        sa.Column("permission", sa.String(length=120), nullable=False),
        sa.Column("scope", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["role.id"], name=op.f("fk_role_permission_role_id_role"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_permission")),
        sa.UniqueConstraint("role_id", "permission", name=op.f("uq_role_permission_role_id_permission")),
        sa.UniqueConstraint("uid", name=op.f("uq_role_permission_uid")),
    )
    op.create_table(
        "api_token",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", database.Json, nullable=True),
        sa.Column("expires_at", database.UTCDateTime(), nullable=True),
        sa.Column("revoked_at", database.UTCDateTime(), nullable=True),
        sa.Column("last_used_at", database.UTCDateTime(), nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_api_token_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_token_prefix")),
        sa.UniqueConstraint("uid", name=op.f("uq_api_token_uid")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_token_user_id"), ["user_id"], unique=False)

    op.create_table(
        "customer",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("display_name", sa.String(length=300), nullable=False),
        sa.Column(
            "sort_name",
            sa.String(length=300).with_variant(sa.String(length=300, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("status", sa.String(length=20), server_default="active", nullable=False),
        sa.Column("stage", sa.String(length=20), server_default="prospect", nullable=False),
        sa.Column("language", sa.String(length=20), nullable=True),
        sa.Column("timezone", sa.String(length=60), nullable=True),
        sa.Column("merged_into_id", database.Key, nullable=True),
        sa.Column("source", sa.String(length=60), nullable=True),
        sa.Column("external_ref", sa.String(length=255), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("custom", database.Json, nullable=False),
        sa.Column("owner_id", database.Key, nullable=True),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merged_into_id"], ["customer.id"], name=op.f("fk_customer_merged_into_id_customer"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["app_user.id"], name=op.f("fk_customer_owner_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_customer_team_id_team"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("source", "external_ref", name=op.f("uq_customer_source_external_ref")),
        sa.UniqueConstraint("uid", name=op.f("uq_customer_uid")),
    )
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_customer_merged_into_id"), ["merged_into_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_customer_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_customer_sort_name_id"), ["sort_name", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_customer_status_sort_name_id"), ["status", "sort_name", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_customer_team_id"), ["team_id"], unique=False)

    op.create_table(
        "user_role",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("role_id", database.Key, nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_user_role_role_id_role"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_user_role_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_role")),
        sa.UniqueConstraint("uid", name=op.f("uq_user_role_uid")),
        sa.UniqueConstraint("user_id", "role_id", name=op.f("uq_user_role_user_id_role_id")),
    )
    with op.batch_alter_table("user_role", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_user_role_role_id"), ["role_id"], unique=False)

    op.create_table(
        "webauthn",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("credential_id", sa.LargeBinary(length=1024), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.Integer(), nullable=False),
        sa.Column("transports", database.Json, nullable=True),
        sa.Column("extensions", sa.String(length=255), nullable=True),
        sa.Column("device_type", sa.String(length=64), nullable=False),
        sa.Column("backup_state", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("usage", sa.String(length=64), nullable=False),
        sa.Column("lastuse_datetime", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_webauthn_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webauthn")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_webauthn_credential_id")),
    )
    with op.batch_alter_table("webauthn", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_webauthn_user_id"), ["user_id"], unique=False)

    op.create_table(
        "address",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("purpose", sa.String(length=20), server_default="postal", nullable=False),
        sa.Column("street", sa.String(length=300), nullable=True),
        sa.Column("postal_code", sa.String(length=20), nullable=True),
        sa.Column("city", sa.String(length=120), nullable=True),
        sa.Column("region", sa.String(length=120), nullable=True),
        sa.Column("country_code", sa.String(length=2), nullable=True),
        sa.Column("is_primary", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.String(length=20), server_default="unverified", nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_address_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address")),
        sa.UniqueConstraint("uid", name=op.f("uq_address_uid")),
    )
    with op.batch_alter_table("address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_address_city"), ["city"], unique=False)
        batch_op.create_index(batch_op.f("ix_address_customer_id_id"), ["customer_id", "id"], unique=False)
        batch_op.create_index(
            "uq_address_primary",
            ["customer_id"],
            unique=True,
            sqlite_where=sa.text("is_primary = 1"),
            postgresql_where=sa.text("is_primary"),
        )

    op.create_table(
        "contact_point",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=2048), nullable=False),
        sa.Column(
            "value_normalized",
            sa.String(length=2048).with_variant(sa.String(length=2048, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("label", sa.String(length=60), nullable=True),
        sa.Column("purpose", sa.String(length=20), nullable=True),
        sa.Column("is_primary", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.String(length=20), server_default="unverified", nullable=False),
        sa.Column("state_since", database.UTCDateTime(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_contact_point_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_point")),
        sa.UniqueConstraint("uid", name=op.f("uq_contact_point_uid")),
    )
    with op.batch_alter_table("contact_point", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_contact_point_channel_value_normalized"), ["channel", "value_normalized"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_contact_point_customer_id_channel_is_primary"),
            ["customer_id", "channel", "is_primary"],
            unique=False,
        )
        batch_op.create_index(
            "uq_contact_point_primary",
            ["customer_id", "channel"],
            unique=True,
            sqlite_where=sa.text("is_primary = 1"),
            postgresql_where=sa.text("is_primary"),
        )

    op.create_table(
        "customer_identifier",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("type", sa.String(length=60), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("issuer", sa.String(length=60), server_default="", nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
            name=op.f("fk_customer_identifier_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_identifier")),
        sa.UniqueConstraint("type", "value", "issuer", name=op.f("uq_customer_identifier_type_value_issuer")),
        sa.UniqueConstraint("uid", name=op.f("uq_customer_identifier_uid")),
    )
    with op.batch_alter_table("customer_identifier", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_identifier_customer_id_id"), ["customer_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_customer_identifier_value"), ["value"], unique=False)

    op.create_table(
        "interaction",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("occurred_at", database.UTCDateTime(), nullable=False),
        sa.Column("subject_type", sa.String(length=80), nullable=True),
        sa.Column("subject_uid", database.Uid(), nullable=True),
        sa.Column("actor_id", database.Key, nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("source_plugin", sa.String(length=40), nullable=False),
        sa.Column("external_ref", sa.String(length=255), nullable=True),
        sa.Column("summary", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["app_user.id"], name=op.f("fk_interaction_actor_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_interaction_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interaction")),
        sa.UniqueConstraint("source_plugin", "external_ref", name=op.f("uq_interaction_source_plugin_external_ref")),
        sa.UniqueConstraint("uid", name=op.f("uq_interaction_uid")),
    )
    with op.batch_alter_table("interaction", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_interaction_actor_id"), ["actor_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_interaction_customer_id_occurred_at_uid"),
            ["customer_id", "occurred_at", "uid"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_interaction_occurred_at_id"), ["occurred_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_interaction_subject_type_subject_uid"), ["subject_type", "subject_uid"], unique=False
        )

    op.create_table(
        "organization",
        sa.Column("customer_id", database.Key, autoincrement=False, nullable=False),
        sa.Column("legal_name", sa.String(length=300), nullable=True),
        sa.Column("industry", sa.String(length=120), nullable=True),
        sa.Column("employees", sa.Integer(), nullable=True),
        sa.Column("annual_revenue", database.Amount(), nullable=True),
        sa.Column("revenue_currency", sa.String(length=3), nullable=True),
        sa.Column("website", sa.String(length=2048), nullable=True),
        sa.Column("region", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_organization_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_organization")),
    )
    with op.batch_alter_table("organization", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_organization_industry"), ["industry"], unique=False)
        batch_op.create_index(batch_op.f("ix_organization_region"), ["region"], unique=False)

    op.create_table(
        "person",
        sa.Column("customer_id", database.Key, autoincrement=False, nullable=False),
        sa.Column("given_name", sa.String(length=120), nullable=True),
        sa.Column("family_name", sa.String(length=120), nullable=True),
        sa.Column("prefix", sa.String(length=40), nullable=True),
        sa.Column("suffix", sa.String(length=40), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("job_title", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_person_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_person")),
    )
    op.create_table(
        "relationship",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("from_customer_id", database.Key, nullable=False),
        sa.Column("to_customer_id", database.Key, nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=120), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.CheckConstraint("from_customer_id <> to_customer_id", name=op.f("ck_relationship_two_customers")),
        sa.ForeignKeyConstraint(
            ["from_customer_id"],
            ["customer.id"],
            name=op.f("fk_relationship_from_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["to_customer_id"],
            ["customer.id"],
            name=op.f("fk_relationship_to_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relationship")),
        sa.UniqueConstraint("uid", name=op.f("uq_relationship_uid")),
    )
    with op.batch_alter_table("relationship", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_relationship_from_customer_id_type"), ["from_customer_id", "type"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_relationship_to_customer_id_type"), ["to_customer_id", "type"], unique=False
        )

    op.create_table(
        "sale",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=True),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("occurred_at", database.UTCDateTime(), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("source_plugin", sa.String(length=40), nullable=False),
        sa.Column("external_ref", sa.String(length=255), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", database.Amount(), nullable=False),
        sa.Column("rate", database.Rate(), nullable=False),
        sa.Column("base_amount", database.Amount(), nullable=False),
        sa.Column("margin", database.Amount(), nullable=True),
        sa.Column("base_margin", database.Amount(), nullable=True),
        sa.Column("refund_of_id", database.Key, nullable=True),
        sa.Column("owner_id", database.Key, nullable=True),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_sale_customer_id_customer"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["app_user.id"], name=op.f("fk_sale_owner_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["refund_of_id"], ["sale.id"], name=op.f("fk_sale_refund_of_id_sale"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_sale_team_id_team"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale")),
        sa.UniqueConstraint("source_plugin", "external_ref", name=op.f("uq_sale_source_plugin_external_ref")),
        sa.UniqueConstraint("uid", name=op.f("uq_sale_uid")),
    )
    with op.batch_alter_table("sale", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sale_customer_id_occurred_at"), ["customer_id", "occurred_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sale_occurred_at_id"), ["occurred_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sale_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sale_refund_of_id"), ["refund_of_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sale_team_id"), ["team_id"], unique=False)

    op.create_table(
        "contact_point_event",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("contact_point_id", database.Key, nullable=True),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column(
            "value_normalized",
            sa.String(length=2048).with_variant(sa.String(length=2048, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("occurred_at", database.UTCDateTime(), nullable=False),
        sa.Column("recorded_at", database.UTCDateTime(), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("external_ref", sa.String(length=255), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_point_id"],
            ["contact_point.id"],
            name=op.f("fk_contact_point_event_contact_point_id_contact_point"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
            name=op.f("fk_contact_point_event_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_point_event")),
        sa.UniqueConstraint(
            "contact_point_id",
            "source",
            "external_ref",
            name=op.f("uq_contact_point_event_contact_point_id_source_external_ref"),
        ),
    )
    with op.batch_alter_table("contact_point_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_contact_point_event_contact_point_id"), ["contact_point_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_contact_point_event_customer_id_channel_value_normalized_id"),
            ["customer_id", "channel", "value_normalized", "id"],
            unique=False,
        )

    op.create_table(
        "sale_line",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sale_id", database.Key, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_id", database.Key, nullable=True),
        sa.Column("description", sa.String(length=300), nullable=False),
        sa.Column("quantity", database.Amount(), nullable=False),
        sa.Column("unit_price", database.Amount(), nullable=False),
        sa.Column("amount", database.Amount(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_sale_line_product_id_product"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_sale_line_sale_id_sale"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale_line")),
        sa.UniqueConstraint("uid", name=op.f("uq_sale_line_uid")),
    )
    with op.batch_alter_table("sale_line", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sale_line_product_id"), ["product_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sale_line_sale_id_position"), ["sale_id", "position"], unique=False)
    for statement in FULL_TEXT[op.get_context().dialect.name]:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Change it back."""
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TABLE IF EXISTS search_entry_fts")
    with op.batch_alter_table("sale_line", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sale_line_sale_id_position"))
        batch_op.drop_index(batch_op.f("ix_sale_line_product_id"))

    op.drop_table("sale_line")
    with op.batch_alter_table("contact_point_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_contact_point_event_customer_id_channel_value_normalized_id"))
        batch_op.drop_index(batch_op.f("ix_contact_point_event_contact_point_id"))

    op.drop_table("contact_point_event")
    with op.batch_alter_table("sale", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sale_team_id"))
        batch_op.drop_index(batch_op.f("ix_sale_refund_of_id"))
        batch_op.drop_index(batch_op.f("ix_sale_owner_id"))
        batch_op.drop_index(batch_op.f("ix_sale_occurred_at_id"))
        batch_op.drop_index(batch_op.f("ix_sale_customer_id_occurred_at"))

    op.drop_table("sale")
    with op.batch_alter_table("relationship", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_relationship_to_customer_id_type"))
        batch_op.drop_index(batch_op.f("ix_relationship_from_customer_id_type"))

    op.drop_table("relationship")
    op.drop_table("person")
    with op.batch_alter_table("organization", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_organization_region"))
        batch_op.drop_index(batch_op.f("ix_organization_industry"))

    op.drop_table("organization")
    with op.batch_alter_table("interaction", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_interaction_subject_type_subject_uid"))
        batch_op.drop_index(batch_op.f("ix_interaction_occurred_at_id"))
        batch_op.drop_index(batch_op.f("ix_interaction_customer_id_occurred_at_uid"))
        batch_op.drop_index(batch_op.f("ix_interaction_actor_id"))

    op.drop_table("interaction")
    with op.batch_alter_table("customer_identifier", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_customer_identifier_value"))
        batch_op.drop_index(batch_op.f("ix_customer_identifier_customer_id_id"))

    op.drop_table("customer_identifier")
    with op.batch_alter_table("contact_point", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_contact_point_primary", sqlite_where=sa.text("is_primary = 1"), postgresql_where=sa.text("is_primary")
        )
        batch_op.drop_index(batch_op.f("ix_contact_point_customer_id_channel_is_primary"))
        batch_op.drop_index(batch_op.f("ix_contact_point_channel_value_normalized"))

    op.drop_table("contact_point")
    with op.batch_alter_table("address", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_address_primary", sqlite_where=sa.text("is_primary = 1"), postgresql_where=sa.text("is_primary")
        )
        batch_op.drop_index(batch_op.f("ix_address_customer_id_id"))
        batch_op.drop_index(batch_op.f("ix_address_city"))

    op.drop_table("address")
    with op.batch_alter_table("webauthn", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_webauthn_user_id"))

    op.drop_table("webauthn")
    with op.batch_alter_table("user_role", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_role_role_id"))

    op.drop_table("user_role")
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_customer_team_id"))
        batch_op.drop_index(batch_op.f("ix_customer_status_sort_name_id"))
        batch_op.drop_index(batch_op.f("ix_customer_sort_name_id"))
        batch_op.drop_index(batch_op.f("ix_customer_owner_id"))
        batch_op.drop_index(batch_op.f("ix_customer_merged_into_id"))
        batch_op.drop_index(batch_op.f("ix_customer_created_at_id"))

    op.drop_table("customer")
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_token_user_id"))

    op.drop_table("api_token")
    op.drop_table("role_permission")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_job_running",
            sqlite_where=sa.text("state = 1 AND partition IS NOT NULL"),
            postgresql_where=sa.text("state = 1 AND partition IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_job_order",
            sqlite_where=sa.text("state < 2 AND partition IS NOT NULL"),
            postgresql_where=sa.text("state < 2 AND partition IS NOT NULL"),
        )
        batch_op.drop_index("ix_job_lease", sqlite_where=sa.text("state = 1"), postgresql_where=sa.text("state = 1"))
        batch_op.drop_index(batch_op.f("ix_job_event_id"))
        batch_op.drop_index("ix_job_due", sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0"))
        batch_op.drop_index("ix_job_dead", sqlite_where=sa.text("state = 3"), postgresql_where=sa.text("state = 3"))

    op.drop_table("job")
    op.drop_table("audit_payload")
    with op.batch_alter_table("app_user", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_app_user_team_id"))

    op.drop_table("app_user")
    with op.batch_alter_table("team", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_team_parent_id"))

    op.drop_table("team")
    op.drop_table("setting")
    op.drop_table("search_entry")
    op.drop_table("role")
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_name_id"))
        batch_op.drop_index(batch_op.f("ix_product_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_product_category"))

    op.drop_table("product")
    op.drop_table("module")
    with op.batch_alter_table("exchange_rate", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exchange_rate_valid_on_id"))

    op.drop_table("exchange_rate")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_name_id"))
        batch_op.drop_index(batch_op.f("ix_event_customer_uid_id"))

    op.drop_table("event")
    with op.batch_alter_table("data_map", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_data_map_plugin"))

    op.drop_table("data_map")
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_log_record_type_record_uid_id"))
        batch_op.drop_index(batch_op.f("ix_audit_log_request_id_record_type"))
        batch_op.drop_index(batch_op.f("ix_audit_log_at"))
        batch_op.drop_index(batch_op.f("ix_audit_log_actor_uid_id"))

    op.drop_table("audit_log")
