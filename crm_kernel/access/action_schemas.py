"""What the actions of users and roles are asked for."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields

from crm_kernel.records.fields import Choice

#: How far a grant reaches.
SCOPES = {"own": _l("Own records"), "team": _l("Records of the team"), "all": _l("All records")}


#: What a rule leaves of a field.
ACCESS = {"hidden": _l("Neither seen nor written"), "read": _l("Seen, not written")}


class PasswordSchema(Schema):
    """A new password for somebody else."""

    password = fields.String(required=True, metadata={"label": _l("New password"), "widget": "password"})


class RoleNameSchema(Schema):
    """A role to give or take."""

    role = fields.String(
        required=True, metadata={"label": _l("Role"), "help": _l("Its name, for example representative.")}
    )


class NewGrantSchema(Schema):
    """A permission to grant."""

    permission = fields.String(
        required=True, metadata={"label": _l("Permission"), "help": _l("For example customer.read or sfa.*")}
    )
    scope = Choice(SCOPES, load_default="all", metadata={"label": _l("Reach")})


class RevokedGrantSchema(Schema):
    """A permission to revoke."""

    permission = fields.String(required=True, metadata={"label": _l("Permission")})


class FieldSchema(Schema):
    """A field whose rule goes."""

    record_type = fields.String(
        required=True, metadata={"label": _l("Record type"), "help": _l("For example customer or sfa.opportunity.")}
    )
    field = fields.String(
        required=True, metadata={"label": _l("Field"), "help": _l("For example annual_revenue, cf_tier or bank.risk.")}
    )


class RestrictedFieldSchema(FieldSchema):
    """A field that a role's holders shall not see, or not write."""

    access = Choice(ACCESS, load_default="hidden", metadata={"label": _l("Access")})
