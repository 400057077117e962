"""Which models there are and where: discovery, replicas, and what of them may be asked."""
