"""The observer: records which facts matter to a run, and up to when it has looked."""

from actors.observer.actor import Observer
from actors.observer.audit_trail import AuditTrail

__all__ = ["AuditTrail", "Observer"]
