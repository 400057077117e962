"""Benchmarks: `make bench` runs them and writes docs/benchmarks.md; tests here show that they measure."""
