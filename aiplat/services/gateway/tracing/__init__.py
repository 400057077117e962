"""Spans of requests for OpenTelemetry; loaded only where the site names an endpoint for them."""
