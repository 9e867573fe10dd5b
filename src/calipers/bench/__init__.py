"""Make benchmarks from scenes with known truth."""
