"""Webhooks: events sent to addresses of other systems, signed, tried again for three days, seen with one user's eyes.

``record`` declares the record types, ``services`` changes them. An event's commit enqueues ``fanout``, which makes a
delivery per webhook that may see it; ``sending`` posts one delivery and ``settling`` notes what came of it.
"""
