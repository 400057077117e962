"""aiplat's own services, each a room of its own; they share no code with the operator's side."""
