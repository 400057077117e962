"""A bundle in parts that fit on media, whole or without what another bundle has; reads no content."""
