"""Tests of aiplat's own services."""
