"""A host with what can be seen of it from outside: metrics, and HTTP endpoints if asked for."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from deploy.host import Host, Plan, host
from deploy.settings import Settings


@asynccontextmanager
async def observed(settings: Settings, url: str, plan: Plan, *, http: bool) -> AsyncIterator[Host]:
    """A host until the block ends; `http` opens its endpoints.

    Raises:
        PortTaken: HTTP_PORT was set and cannot be used.
    """
    async with AsyncExitStack() as stack:
        if not http:
            yield await stack.enter_async_context(host(settings, url, plan))
            return
        from deploy.endpoints import endpoints
        from deploy.metrics import PrometheusMetrics

        metrics = PrometheusMetrics(service=settings.service_name, instance=settings.instance.name, version=settings.service_version)
        running = await stack.enter_async_context(host(settings, url, plan, metrics))
        running.http = await stack.enter_async_context(endpoints(settings, running, metrics))
        yield running
