"""Off-the-shelf models that fill what a frame does not carry."""
