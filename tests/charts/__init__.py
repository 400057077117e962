"""Tests of our own charts: rendered by the real helm, checked against the schema of the pinned Kubernetes."""
