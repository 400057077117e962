"""The `upstream` supply: fetches artifacts from their projects' own releases, each protocol in a module."""
