"""Tests of aiplat.fit: what fits, how fast, and where the planner is wrong."""
