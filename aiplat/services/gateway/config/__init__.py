"""The files that a gateway reads: accounts, routes, and noticing that they changed."""
