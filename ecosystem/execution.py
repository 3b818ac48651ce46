"""How well orders are executed, told now and then: what a risk desk watches."""

from dataclasses import dataclass, field


@dataclass
class Execution:
    """What happened to orders since the last time it was told."""

    _seconds: list[float] = field(default_factory=list)
    _rejected: int = 0
    _failed: int = 0

    def answered(self, seconds: float, status: str) -> None:
        """The exchange has answered after that long."""
        self._seconds.append(seconds)
        self._rejected += status in {"rejected", "refused"}

    def failed(self) -> None:
        """It has not."""
        self._failed += 1

    def told(self) -> dict[str, object] | None:
        """The figures, None if nothing happened; begins anew."""
        if not self._seconds and not self._failed:
            return None
        ordered = sorted(self._seconds)
        known: dict[str, object] = {"answered": len(ordered), "rejected": self._rejected, "failed": self._failed}
        for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            known[name] = round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 4) if ordered else None
        self._seconds, self._rejected, self._failed = [], 0, 0
        return known
