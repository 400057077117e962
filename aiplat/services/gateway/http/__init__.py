"""HTTP and bytes: errors, bodies, encodings, event frames, time limits; nothing here knows of models."""
