"""One rule for each verdict: what must be seen for it; its sentences are knowledge."""
