"""Files on records: stored once by their content, served as downloads only, seen by whoever sees the record."""
