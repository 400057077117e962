"""Runs: the journal of what happened, one at a time, resumable, and ended whole."""
