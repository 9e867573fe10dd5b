"""Facts, question types, templates, sampling and writing."""
