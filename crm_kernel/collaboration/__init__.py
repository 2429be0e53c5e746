"""Working together on records: notes and mentions, notifications, files, tags."""
