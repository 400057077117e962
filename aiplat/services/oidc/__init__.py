"""People by the site's sign-in: tokens of an OpenID Connect issuer, and signing in at it with a browser."""
