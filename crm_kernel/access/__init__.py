"""Users, teams, roles, tokens and sessions; the one policy that every channel asks; the audit log."""
