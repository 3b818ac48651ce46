"""Measurements, run by `make bench`. Figures belong to the machine that made them; compare only within one run."""
