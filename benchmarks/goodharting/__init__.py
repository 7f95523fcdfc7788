"""The parts of benchmarks/goodhart.py."""
