"""Private machinery: discovery, plugin manager, registry, outbox, migrations. No plugin imports from here."""
