"""The command palette (Ctrl-K): pages, things to do and records in one list, only what the reader may open."""
