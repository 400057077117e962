"""The people who may sign in, as an admin manages them: at the site's own sign-in, with what follows here."""
