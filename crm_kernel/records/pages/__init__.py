"""The pages every record type gets: list, board, detail, form, action dialog, deletion, type-ahead, export.

``routes`` mounts them. It is not imported here: the API uses parts of the pages, and the pages parts of the API.
"""
