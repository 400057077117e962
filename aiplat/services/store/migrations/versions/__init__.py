"""One module per migration, never changed after a release; a later one builds on the one before."""
