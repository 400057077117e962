"""Tests of aiplat.site."""
