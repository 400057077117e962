"""Turns Model objects into engines that serve: Deployment, Service, disruption budget, number, status.

`python -m aiplat.services.operator` runs it. What is decided (model_spec, bundle, fit, engines, desired,
scaling, state) asks the cluster nothing; what asks and writes (reconcile, load, watch) decides nothing.
"""
