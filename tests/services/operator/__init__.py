"""The Model operator."""
