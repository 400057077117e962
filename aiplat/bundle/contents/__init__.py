"""What is inside of a bundle's artifacts: packages, modules and programs, read out of the bundle alone."""
