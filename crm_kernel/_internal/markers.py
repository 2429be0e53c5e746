"""The two pluggy markers of the project; plugins get them from ``crm_kernel``."""

import pluggy

PROJECT = "crm"
#: Marks a function of a module's ``contract`` as a hook: its name, arguments and docstring are what implementers see.
hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks a method of a ``Plugin`` as the implementation of the hook of its name; ``@hookimpl(optionalhook=True)`` for a
#: hook that only an optional neighbour declares.
hookimpl = pluggy.HookimplMarker(PROJECT)
