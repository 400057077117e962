"""The site's sign-in: Canaille, with the clients that components need and the groups of the site."""
