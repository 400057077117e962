"""Judges what was seen of a host's NVIDIA GPUs: texts to signals to a verdict; gathers nothing."""
