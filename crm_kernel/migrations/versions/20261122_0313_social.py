"""Keep notes, notifications, attachments and tags."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0313"
down_revision = "20261122_0312"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "stored_file",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=120), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_file")),
        sa.UniqueConstraint("digest", name=op.f("uq_stored_file_digest")),
    )
    op.create_table(
        "tag",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("color", sa.String(length=20), server_default="azure", nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("key", name=op.f("uq_tag_key")),
        sa.UniqueConstraint("uid", name=op.f("uq_tag_uid")),
    )
    with op.batch_alter_table("tag", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tag_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tag_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "tagging",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("tag_id", database.Key, nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("subject_type", sa.String(length=80), nullable=False),
        sa.Column("subject_uid", database.Uid(), nullable=False),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"], name=op.f("fk_tagging_tag_id_tag"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tagging")),
    )
    with op.batch_alter_table("tagging", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_tagging_subject_type_subject_uid_tag_id"),
            ["subject_type", "subject_uid", "tag_id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_tagging_tag_id_subject_type_subject_uid"),
            ["tag_id", "subject_type", "subject_uid"],
            unique=False,
        )

    op.create_table(
        "attachment",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("file_id", database.Key, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=120), nullable=False),
        sa.Column("subject_type", sa.String(length=80), nullable=False),
        sa.Column("subject_uid", database.Uid(), nullable=False),
        sa.Column("author_name", sa.String(length=120), nullable=False),
        sa.Column("author_id", database.Key, nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["app_user.id"], name=op.f("fk_attachment_author_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["stored_file.id"], name=op.f("fk_attachment_file_id_stored_file"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
        sa.UniqueConstraint("uid", name=op.f("uq_attachment_uid")),
    )
    with op.batch_alter_table("attachment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attachment_author_id"), ["author_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_attachment_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_attachment_file_id"), ["file_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_attachment_subject_type_subject_uid_id"), ["subject_type", "subject_uid", "id"], unique=False
        )

    op.create_table(
        "note",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("edited_at", database.UTCDateTime(), nullable=True),
        sa.Column("subject_type", sa.String(length=80), nullable=False),
        sa.Column("subject_uid", database.Uid(), nullable=False),
        sa.Column("author_name", sa.String(length=120), nullable=False),
        sa.Column("author_id", database.Key, nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["app_user.id"], name=op.f("fk_note_author_id_app_user"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
        sa.UniqueConstraint("uid", name=op.f("uq_note_uid")),
    )
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_note_author_id"), ["author_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_note_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_note_subject_type_subject_uid_id"), ["subject_type", "subject_uid", "id"], unique=False
        )

    op.create_table(
        "notification",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("subject_type", sa.String(length=80), nullable=True),
        sa.Column("subject_uid", database.Uid(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("data", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("read_at", database.UTCDateTime(), nullable=True),
        sa.Column("in_app", sa.Boolean(), nullable=False),
        sa.Column("mail_due_at", database.UTCDateTime(), nullable=True),
        sa.Column("dedupe_key", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_notification_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("uid", name=op.f("uq_notification_uid")),
        sa.UniqueConstraint("user_id", "kind", "dedupe_key", name=op.f("uq_notification_user_id_kind_dedupe_key")),
    )
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notification_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_notification_mail_due_at_user_id"), ["mail_due_at", "user_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_notification_subject_type_subject_uid"), ["subject_type", "subject_uid"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_notification_user_id_id"), ["user_id", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_notification_user_id_read_at_id"), ["user_id", "read_at", "id"], unique=False
        )

    op.create_table(
        "notification_setting",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("in_app", sa.Boolean(), nullable=False),
        sa.Column("email", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_notification_setting_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_setting")),
        sa.UniqueConstraint("user_id", "kind", name=op.f("uq_notification_setting_user_id_kind")),
    )
    op.create_table(
        "note_mention",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("note_id", database.Key, nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("written", sa.String(length=254), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["note_id"], ["note.id"], name=op.f("fk_note_mention_note_id_note"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_note_mention_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note_mention")),
        sa.UniqueConstraint("note_id", "user_id", name=op.f("uq_note_mention_note_id_user_id")),
    )
    with op.batch_alter_table("note_mention", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_note_mention_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("note_mention", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_note_mention_user_id"))

    op.drop_table("note_mention")
    op.drop_table("notification_setting")
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notification_user_id_read_at_id"))
        batch_op.drop_index(batch_op.f("ix_notification_user_id_id"))
        batch_op.drop_index(batch_op.f("ix_notification_subject_type_subject_uid"))
        batch_op.drop_index(batch_op.f("ix_notification_mail_due_at_user_id"))
        batch_op.drop_index(batch_op.f("ix_notification_created_at_id"))

    op.drop_table("notification")
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_note_subject_type_subject_uid_id"))
        batch_op.drop_index(batch_op.f("ix_note_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_note_author_id"))

    op.drop_table("note")
    with op.batch_alter_table("attachment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attachment_subject_type_subject_uid_id"))
        batch_op.drop_index(batch_op.f("ix_attachment_file_id"))
        batch_op.drop_index(batch_op.f("ix_attachment_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_attachment_author_id"))

    op.drop_table("attachment")
    with op.batch_alter_table("tagging", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tagging_subject_type_subject_uid_tag_id"))
        batch_op.drop_index(batch_op.f("ix_tagging_tag_id_subject_type_subject_uid"))

    op.drop_table("tagging")
    with op.batch_alter_table("tag", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tag_name_id"))
        batch_op.drop_index(batch_op.f("ix_tag_created_at_id"))

    op.drop_table("tag")
    op.drop_table("stored_file")
