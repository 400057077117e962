"""Tests of the gateway, against a real engine process on loopback."""
