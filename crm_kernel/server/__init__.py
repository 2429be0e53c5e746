"""``crm serve``: a supervisor with one listening socket and worker processes that are replaced without losing a request.

The supervisor imports no plugin: it reads the module generation, starts fresh interpreters, and keeps the old ones
serving when a new set of modules does not load.
"""

from crm_kernel.server.sockets import PortUnavailable
from crm_kernel.server.supervisor import Serving, Supervisor

__all__ = ["PortUnavailable", "Serving", "Supervisor"]
