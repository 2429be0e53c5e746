"""Requests to addresses that users or partners name: webhooks, log-in providers, files by URL.

``send`` is the only way out. It resolves the name once, refuses every address that is not public, dials exactly the
address it has checked, follows no redirect, asks no proxy of the environment, and bounds time and size. ``addresses``
decides where a request may go, ``sending`` goes there.
"""

from crm_kernel.outbound.addresses import (
    AddressRefused,
    OutboundPolicy,
    Target,
    checked_url,
    policy_of,
    refuse_unreachable,
)
from crm_kernel.outbound.sending import Answer, Unreachable, send

__all__ = [
    "AddressRefused",
    "Answer",
    "OutboundPolicy",
    "Target",
    "Unreachable",
    "checked_url",
    "policy_of",
    "refuse_unreachable",
    "send",
]
