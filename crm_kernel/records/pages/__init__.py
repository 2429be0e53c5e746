"""The pages every record type gets: list, board, detail, form, action dialog, deletion, type-ahead, export."""

from crm_kernel.records.pages.routes import register_pages

__all__ = ["register_pages"]
