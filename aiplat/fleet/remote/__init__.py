"""Scripts that run on hosts by themselves; nothing of aiplat imports them there."""
