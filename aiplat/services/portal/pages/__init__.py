"""One page a module: a router, what it shows, what its forms do."""
