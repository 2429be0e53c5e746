"""What a library warns of and we know: ignored once per process, when its first engine is made.

Filters belong to the whole process. Set while threads work they would change under all of them, and ``catch_warnings``
around a call would put back the filters of the others.
"""

from __future__ import annotations

import warnings
from functools import cache

from sqlalchemy.exc import SAWarning


@cache
def expect_expression_indexes() -> None:
    """Ignore what SQLAlchemy says of each index over a custom field when it reads tables from SQLite."""
    warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index", SAWarning)
