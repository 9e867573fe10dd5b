"""Everything that frames can come from; see `calipers.io.inputs.sources`."""
