"""Products, exchange rates, and the one ledger of sales made in any channel by any module."""
