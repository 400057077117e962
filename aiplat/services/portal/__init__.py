"""The portal: pages for people, made on the server, over the store that gateway and control API have."""
