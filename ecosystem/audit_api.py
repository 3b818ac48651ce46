"""The REST side of the audit correlator: events are told, asked for and linked. In stub mode all is answered and nothing stored."""

from aiohttp import web

from ecosystem.audit_store import AuditStore, seconds_of
from ecosystem.bodies import Body
from ecosystem.errors import BodyError, StoreError

EVENTS, CORRELATIONS = "/api/v1/audit/events", "/api/v1/audit/correlations"
MOCK = ["mock-correlation-1", "mock-correlation-2"]


class AuditApi:
    """What is served under /api/v1/audit."""

    def __init__(self, store: AuditStore, *, stub: bool) -> None:
        """`stub`: there is no data adapter."""
        self._store = store
        self._stub = stub

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [
            web.post(EVENTS, self._tell),
            web.get(f"{EVENTS}/service", self._serve_service),
            web.get(f"{EVENTS}/trace/{{trace}}", self._serve_trace),
            web.post(CORRELATIONS, self._link),
            web.get(CORRELATIONS, self._serve_labels),
            web.get("/api/v1/audit/status", self._serve_status),
            web.get("/api/v1/ready", self._serve_ready),
        ]

    async def _tell(self, request: web.Request) -> web.Response:
        known = Body.decode(await request.read()).fields
        told = [known.get(name) for name in ("event_type", "source", "message")]
        event_type, source, message = (each if isinstance(each, str) else "" for each in told)
        if not (event_type and source and message):
            return web.json_response({"error": "event_type, source and message are required"}, status=400)
        try:
            if not self._stub:
                self._store.add(event_type, source, message)
        except StoreError as error:
            return web.json_response({"error": str(error)}, status=500)
        return web.json_response({"status": "success", "message": "Event logged successfully"}, status=201)

    async def _link(self, request: web.Request) -> web.Response:
        known = Body.decode(await request.read()).fields
        source, target, kind = (str(known.get(name, "")) for name in ("source_event_id", "target_event_id", "correlation_type"))
        confidence = known.get("confidence", 0)
        if not (source and target and kind) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
            return web.json_response({"error": "two ids, a type and a confidence from 0 to 1 are required"}, status=400)
        try:
            if not self._stub:
                self._store.link(source, target, kind, confidence or 1.0)
        except StoreError as error:
            return web.json_response({"error": str(error)}, status=500)
        return web.json_response({"status": "success", "message": "Correlation created successfully"}, status=201)

    async def _serve_service(self, request: web.Request) -> web.Response:
        service = request.query.get("service_name", "")
        if not service:
            return web.json_response({"error": "service_name is required"}, status=400)
        try:
            window = seconds_of(request.query.get("time_window", ""))
        except BodyError as error:
            return web.json_response({"error": str(error)}, status=400)
        events = self._store.of_service(service, request.query.get("event_type", ""), window)
        return web.json_response({"events": events, "count": len(events)})

    async def _serve_trace(self, request: web.Request) -> web.Response:
        events = self._store.of_trace(request.match_info["trace"])
        return web.json_response({"events": events, "count": len(events)})

    async def _serve_labels(self, _request: web.Request) -> web.Response:
        labels = MOCK if self._stub else self._store.labels()
        return web.json_response({"correlations": labels, "count": len(labels)})

    async def _serve_status(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "running", "data_adapter": self._adapter})

    async def _serve_ready(self, _request: web.Request) -> web.Response:
        told = {"status": "not_ready" if self._stub else "ready", "checks": {"data_adapter": self._adapter}}
        return web.json_response(told, status=503 if self._stub else 200)

    @property
    def _adapter(self) -> str:
        return "unavailable" if self._stub else "connected"
