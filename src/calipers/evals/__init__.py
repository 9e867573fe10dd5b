"""Score answers to benchmarks."""
