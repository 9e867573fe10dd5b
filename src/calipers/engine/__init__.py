"""Who does the shards of a run: worker processes of this machine, or a Ray cluster."""
