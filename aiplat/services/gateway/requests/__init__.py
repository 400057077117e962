"""One request: who asks, which fields decide, what it may use and used, whether it may go on."""
