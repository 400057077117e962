"""What a site keeps secret: one encrypted file, its password, the site CA and its certificates."""
