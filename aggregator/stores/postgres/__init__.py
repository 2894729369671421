"""PostgreSQL: addresses, connections, the schema, and history behind an outbox."""
