"""The desired world: site.yaml as frozen models and every finding about it; versions are catalog's."""
