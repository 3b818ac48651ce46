"""The TCP proxy that carries the links of a run: transparent until a fault is put on one of them."""
