"""Hides what a job's payload and error should not show to whoever looks after the queues: secrets and addresses of people.

Payloads hold ids and plain facts by rule; this is for the one that does not keep to it, and for what libraries put into
the texts of their exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from crm_kernel._internal.masking import MASK, without_passwords

#: Names that hold secrets, whoever chose them.
_SECRET = re.compile(r"secret|password|passwd|token|api_?key|authorization|cookie|signature", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.+'-]+@(?=[\w-]+(?:\.[\w-]+)+)")
#: Long runs of digits, with the signs that people put between them: telephone, card and account numbers.
_NUMBER = re.compile(r"(?<![\w-])\+?\d(?:[ ./]?\d){8,}(?![\w-])")


def masked_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload whose secret members and personal texts are hidden, at any depth."""
    return {name: _masked(name, value) for name, value in payload.items()}


def masked_text(text: str) -> str:
    """Return a text without passwords in addresses, names of mailboxes, and long numbers."""
    return _NUMBER.sub(MASK, _ADDRESS.sub(f"{MASK}@", without_passwords(text)))


def _masked(name: str, value: Any) -> Any:
    if value not in (None, "", [], {}) and _SECRET.search(name):
        return MASK
    if isinstance(value, Mapping):
        return masked_payload(value)
    if isinstance(value, list):
        return [_masked("", item) for item in value]
    return masked_text(value) if isinstance(value, str) else value
