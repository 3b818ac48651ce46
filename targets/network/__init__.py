"""Faults in a network namespace: rules of the packet filter, and a program that holds packets back. The modules are imported one by one:
that program must start quickly.
"""
