"""A host with what can be seen of it from outside: metrics, traces, and endpoints where they are asked for."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from deploy.host import Host, Plan, host
from deploy.settings import Settings, read_collector
from deploy.watching import Listener, Watch

if TYPE_CHECKING:
    from deploy.metrics import PrometheusMetrics


@asynccontextmanager
async def observed(settings: Settings, url: str, plan: Plan, *, http: bool, grpc: bool = False) -> AsyncIterator[Host]:
    """A host until the block ends; `http` and `grpc` open its endpoints. A GRPC_PORT that is set opens that one too.

    Raises:
        PortTaken: HTTP_PORT or GRPC_PORT was set and cannot be used.
    """
    async with AsyncExitStack() as stack:
        metrics = _metrics(settings) if http else None
        watch = await _watch(settings, plan, metrics, stack)
        running = await stack.enter_async_context(host(settings, url, plan, metrics, watch))
        if metrics is not None:
            from deploy.endpoints import endpoints

            running.http = await stack.enter_async_context(endpoints(settings, running, metrics))
        if grpc or settings.grpc_port is not None:
            from deploy.grpc_health import grpc_endpoints

            running.grpc = await stack.enter_async_context(grpc_endpoints(settings, running))
        yield running


def _metrics(settings: Settings) -> "PrometheusMetrics":
    from deploy.metrics import PrometheusMetrics

    return PrometheusMetrics(service=settings.service_name, instance=settings.instance.name, version=settings.service_version)


async def _watch(settings: Settings, plan: Plan, metrics: "PrometheusMetrics | None", stack: AsyncExitStack) -> Watch | None:
    """Who watches what the actors do: metrics and traces, where there are any. Libraries are loaded for what is asked for only."""
    listeners: list[Listener] = []
    collector = read_collector(os.environ)
    if collector is not None:
        from deploy.tracing import tracing

        listeners.append(await stack.enter_async_context(tracing(settings, collector, metrics)))
    if metrics is None:
        return Watch(plan.actors, listeners) if listeners else None
    from deploy.domain_metrics import DomainMetrics

    domain = DomainMetrics(metrics.registry)
    watch = Watch(plan.actors, (domain, *listeners))
    domain.show(watch)
    return watch
