"""Tests of checks, against a whole site on loopback."""
