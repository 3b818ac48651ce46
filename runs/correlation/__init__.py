"""The audit trail of a run: the events of its system, joined with its faults. Pure."""
