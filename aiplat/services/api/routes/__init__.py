"""One module per thing the API shows: what comes in, which action is called, what goes out."""
