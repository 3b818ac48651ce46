"""The chaos-injector: starts what a System describes, disturbs targets, and undoes what it did."""

from actors.chaos_injector.actor import Around, ChaosInjector

__all__ = ["Around", "ChaosInjector"]
