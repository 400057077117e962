"""Upstreams, engines and providers: connections, translation, failover, reading answers as they pass."""
