"""Experiments with real data and with known optima; `python benchmarks/science.py` runs them."""
