"""The command line: a participant of the bus like any other."""
