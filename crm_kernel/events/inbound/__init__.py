"""Webhooks in: messages of other systems, checked, kept once, and handled by a job in a user's name.

``record`` declares the record types and the kernel's own kind, ``receiving`` is the door (``POST /api/hooks/<token>``),
``handling`` the job, ``schemes`` the ways to sign. Kinds are ``InboundWebhook`` records that plugins return.
"""
