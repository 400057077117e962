"""The control API: thin routers over the actions that the command line uses; decides nothing itself."""
