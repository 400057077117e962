"""What aiplat.lab promises: names and plans in seconds, real hosts under the `lab` mark."""
