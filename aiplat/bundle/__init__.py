"""The verified, content-addressed folder that hosts install from; making artifacts is aiplat.supply's."""
