"""The command line: arguments, progress and tables; work is done in aiplat.actions."""
