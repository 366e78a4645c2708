"""The database: tables, statements, and the engine that runs them.

`engine.py` opens and ends transactions; modules of statements never do.
"""
