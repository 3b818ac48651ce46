"""What travels: the scenario language, the events of a run, and what is asked of the control service. Imports nothing of ours."""
