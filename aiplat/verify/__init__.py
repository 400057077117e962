"""Checks as sentences: each looks, and says OK, FAIL or SKIP; nothing is changed here."""
