"""Pure functions on arrays: cameras, planes, clouds, boxes and relations."""
