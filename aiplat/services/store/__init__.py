"""Accounts in a database: keys, teams, budgets, usage and audit as typed functions; nothing of HTTP is here.

PostgreSQL and SQLite hold the same tables. Nothing is imported here: who needs only hashes loads no database.
"""
