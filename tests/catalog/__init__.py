"""Tests of aiplat.catalog."""
