"""How a customer is called and where its name sorts.

Owns the display name and the sort name of persons, organisations and households. The folding is that of full-text
search (``crm_kernel.text``), so lists have one order on both databases whatever their collation.
"""

from __future__ import annotations

from crm_kernel.text import fold, tokens

__all__ = ["display_name", "fold", "sort_name", "tokens"]


def display_name(kind: str, given: str = "", family: str = "", display: str = "") -> str:
    """Return the name to show: ``display`` when it is given, else ``given family`` of a person; white space collapsed.

    Returns the empty string when no name is known: the caller decides whether that is an error.

    Args:
        kind: ``person``, ``organization`` or ``household``; ``given`` and ``family`` count for persons only.
    """
    chosen = " ".join(display.split())
    if chosen or kind != "person":
        return chosen
    return " ".join(f"{given} {family}".split())


def sort_name(kind: str, given: str = "", family: str = "", display: str = "") -> str:
    """Return the folded key to order by: ``muller jane`` for Jane Müller, ``saint gobain`` for Saint-Gobain.

    Compare it byte by byte (``COLLATE "C"``, ``BINARY``). A person without family name sorts by the given name, then
    by the display name. Punctuation separates words; a name of nothing else sorts by itself.

    Args:
        kind: ``person``, ``organization`` or ``household``; ``given`` and ``family`` count for persons only.
    """
    words = tokens(f"{family} {given}") if kind == "person" else []
    return " ".join(words or tokens(display)) or fold(" ".join(display.split()))
