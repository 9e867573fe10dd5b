"""Frames in, run folders out."""
