"""What can be installed, and the lock of what a site resolves to; building or fetching it is supply's."""
