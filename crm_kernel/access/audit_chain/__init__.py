"""The hash chain over the audit log: every row is sealed after its commit, and each seal continues the one before it.

Whoever alters, deletes, inserts or reorders rows breaks it; whoever cuts off its end contradicts the signed head. Knows
the rows of ``access.audit`` and nothing of who wrote them.
"""

from crm_kernel.access.audit_chain.heads import accept_head, exported_head
from crm_kernel.access.audit_chain.sealing import seal_all, seal_jobs, seal_some
from crm_kernel.access.audit_chain.verifying import Finding, Verification, verify

__all__ = [
    "Finding",
    "Verification",
    "accept_head",
    "exported_head",
    "seal_all",
    "seal_jobs",
    "seal_some",
    "verify",
]
