"""A run folder's questions as the files that trainers read; see `calipers.io.exports.export`."""
