"""The database: tables, statements, and the engine that runs them.

`engine.py` begins and ends transactions; modules with statements never do.
"""
