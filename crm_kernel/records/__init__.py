"""What one ``RecordType`` declaration turns into: API, pages, filters, board, import, export and search."""
