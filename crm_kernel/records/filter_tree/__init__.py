"""Conditions over records as one tree of JSON, for lists, views, bulk work, rules and segments alike.

``parse_tree`` checks what somebody wrote, ``compile_tree`` turns it into SQL for whoever asks, and every node writes
itself as JSON again (``to_json``). Fields and relations are those of ``crm_kernel.records.catalogue``.
"""

from __future__ import annotations

from crm_kernel.records.filter_tree.compiling import Aim, compile_tree
from crm_kernel.records.filter_tree.nodes import (
    And,
    Comparison,
    Has,
    Node,
    Not,
    Or,
    Relative,
    Total,
    Window,
    says_something,
)
from crm_kernel.records.filter_tree.parsing import parse_text, parse_tree

__all__ = [
    "Aim",
    "And",
    "Comparison",
    "Has",
    "Node",
    "Not",
    "Or",
    "Relative",
    "Total",
    "Window",
    "compile_tree",
    "parse_text",
    "parse_tree",
    "says_something",
]
