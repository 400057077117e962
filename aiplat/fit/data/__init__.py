"""The planner's own knowledge as YAML: shapes, devices, quantisations, engines; no code belongs here."""
