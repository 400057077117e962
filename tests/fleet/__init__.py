"""Tests of aiplat.fleet."""
