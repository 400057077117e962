"""From what is wanted and what was seen to an ordered list of steps; doing them is runs' and fleet's."""
