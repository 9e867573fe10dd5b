"""Calipers measures the world in pictures and teaches vision-language models to do the same."""

__version__ = "0.1.0"
