"""What a journal means: pure folds from events to the state of a run, its faults and its claims. Knows `messages` alone."""
