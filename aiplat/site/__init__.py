"""The desired world: site.yaml as frozen models and every finding about it; resolving versions is catalog's."""
