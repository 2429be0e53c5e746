"""The process of the streams for ``test_streams.py``, with a sign of life often enough to notice at once who has left.

Run as a script: ``python streams.py PORT``; the instance is that of ``CRM_CONFIG``.
"""

from __future__ import annotations

import sys

from crm_kernel.server import live

# Not below the guard: the process that serves may be one that imports this file anew.
live.PING_EVERY = 0.5

if __name__ == "__main__":
    live.serve_live("127.0.0.1", int(sys.argv[1]))
