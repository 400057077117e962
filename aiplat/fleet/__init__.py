"""Reaches the hosts of a site: probe, blobs, lease, inventory, ansible; decides nothing."""
