"""A bounded memory of what was seen, because NATS may deliver an event again after a reconnection."""


class Recent:
    """The last keys that were seen."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: dict[str, None] = {}

    def is_new(self, key: str) -> bool:
        """Whether this key is seen for the first time; it is remembered."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._size:
            del self._keys[next(iter(self._keys))]
        return True
