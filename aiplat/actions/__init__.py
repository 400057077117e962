"""One file per verb: what aiplat does when it is told to; printing belongs in aiplat.cli."""
