"""The database: tables, statements, and the engine that runs them. No transaction is committed here."""
