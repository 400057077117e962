"""Says what is wrong with a host as one of a site: facts in, sentences out; looks at nothing itself."""
