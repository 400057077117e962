"""Looks into a Kubernetes cluster and returns plain objects; the only importer of `kubernetes`."""
