"""Settings that administrators change while the system runs: which there are, what they are now, and how they change.

They stand in the table ``setting`` and are laid over the configuration when an application is built
(``crm_kernel._internal.settings``). A change raises the module generation, so that servers replace their worker processes
without losing a request: nothing is switched inside a living process, and every process sees one state.
"""
