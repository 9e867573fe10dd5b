"""One step of the pipeline a file."""
