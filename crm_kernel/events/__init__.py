"""Events: facts in the past tense, stored by the commit that made them true and delivered after it.

The base class and its wire format; how they are stored and delivered is ``crm_kernel._internal.outbox`` and ``jobs``.
"""

from crm_kernel.events.event import Event

__all__ = ["Event"]
