"""The report and its browser."""
