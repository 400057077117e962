"""Journeys through real hosts; each file walks one lab from its first step to its last."""
