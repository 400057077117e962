"""Tests of roles/."""
