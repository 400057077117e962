"""aiplat: bare hosts to a local-first AI platform; this package holds its rooms (see ARCHITECTURE.md)."""

API_VERSION = "aiplat.dev/v1alpha1"
