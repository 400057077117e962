"""Accounts: keys in memory, budgets and rates, admission, usage on its way to the database."""
