"""The audit correlator: hears every event of the ecosystem, counts them and remembers the last ones; and stores what it is told by REST."""

from collections import Counter, deque

from aiohttp import web
from nats.aio.msg import Msg

from ecosystem import lifecycle
from ecosystem.audit_api import AuditApi
from ecosystem.audit_store import AuditStore
from ecosystem.events import SUBJECT_ROOT, decode_event
from ecosystem.recent import Recent
from ecosystem.service import Service
from ecosystem.settings import Settings
from ecosystem.switches import Switches

REMEMBERED = 5_000
TYPES = 100
"""Event types counted by name; further ones count as `other`."""


class AuditCorrelator(Service):
    """Listens to everything.

    State: counts, the last events and what it was told, in memory.
    """

    name = "audit-correlator"
    http_port = 18086
    grpc_port = 15086

    def __init__(self, settings: Settings, switches: Switches) -> None:
        super().__init__(settings, switches)
        self._events: deque[tuple[str, bytes]] = deque(maxlen=REMEMBERED)
        self._by_type: Counter[str] = Counter()
        self._seen = Recent(20_000)
        self._malformed = 0
        self._audited = self.metrics.counter("audit_events", "Events heard, by type", "type")
        self._api = AuditApi(AuditStore(self.name), stub=switches.drop_audit)
        self.outbox.subscribe(f"{SUBJECT_ROOT}.>", self._on_event)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/audit/events", self._serve_events),
            web.get("/api/v1/audit/summary", self._serve_summary),
            *self._api.routes(),
        ]

    async def _on_event(self, message: Msg) -> None:
        event = decode_event(message.data)
        if event is None:
            self._malformed += 1
            return
        if not self._seen.is_new(f"{event.source} {event.id}"):
            return
        kind = event.type if event.type in self._by_type or len(self._by_type) < TYPES else "other"
        self._by_type[kind] += 1
        self._audited.labels(kind).inc()
        self._events.append((event.type, message.data))

    async def _serve_events(self, request: web.Request) -> web.Response:
        """The last events, newest first."""
        kind = request.query.get("type")
        try:
            limit = max(1, min(REMEMBERED, int(request.query.get("limit", "100"))))
        except ValueError:
            return web.json_response({"error": "limit must be a number"}, status=400)
        found = [data for each, data in reversed(self._events) if kind in {None, each}][:limit]
        return web.Response(body=b'{"events":[' + b",".join(found) + b"]}", content_type="application/json")

    async def _serve_summary(self, _request: web.Request) -> web.Response:
        known = {"total": self._by_type.total(), "by_type": dict(self._by_type), "malformed": self._malformed}
        return web.json_response({**known, "connected": self.outbox.connected})


if __name__ == "__main__":
    lifecycle.run(AuditCorrelator)
