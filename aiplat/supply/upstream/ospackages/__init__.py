"""Packages of hosts' operating systems: indexes that are checked, what is needed of them, and the files."""
