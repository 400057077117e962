"""Tests of looking into a cluster, against an API server on loopback."""
