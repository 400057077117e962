"""The upstream supply against loopback servers that speak the upstreams' protocols."""
