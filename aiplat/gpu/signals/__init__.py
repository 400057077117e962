"""Turns what commands printed into typed signals, one module for each source; decides nothing."""
