"""The chaos-injector: starts what a System describes, disturbs targets, and undoes what it did."""

from actors.chaos_injector.actor import ChaosInjector

__all__ = ["ChaosInjector"]
