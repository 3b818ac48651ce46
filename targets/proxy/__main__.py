"""The proxy process: `python -m targets.proxy`, its configuration in the environment. It lives until SIGTERM."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from targets.identity import identify
from targets.proxy.api import CONFIGURATION, REPORT, Configuration, Report
from targets.proxy.control import control_app
from targets.proxy.echo import echo_server
from targets.proxy.links import Link, Links


async def serve(configuration: Configuration, stop: asyncio.Event) -> None:
    """Carry the links until `stop`; the report is written when everything listens."""
    async with asyncio.TaskGroup() as tasks, _echo() as echo:
        with ExitStack() as opened:
            links: dict[str, Link] = {}
            for name, plan in configuration.links.items():
                links[name] = Link(plan, echo, tasks)
                opened.callback(links[name].close)
                await links[name].behave(None)
            async with _controlled(Links(links, tasks), configuration.secret) as control:
                _write(configuration, control, links)
                await stop.wait()


@asynccontextmanager
async def _echo() -> AsyncIterator[tuple[str, int]]:
    server = await echo_server()
    try:
        yield "127.0.0.1", server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def _controlled(links: Links, secret: str) -> AsyncIterator[str]:
    runner = web.AppRunner(control_app(links, secret), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _write(configuration: Configuration, control: str, links: dict[str, Link]) -> None:
    identity = identify(os.getpid())
    if identity is None:
        raise RuntimeError("/proc does not show this process")
    report = Report(
        identity=identity, control=control, secret=configuration.secret, links={name: link.addresses for name, link in links.items()}
    )
    target = Path(configuration.folder) / REPORT
    draft = target.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(report.model_dump_json())
    draft.replace(target)


async def _main(configuration: Configuration) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(configuration, stop)


def _loops() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main() -> None:
    """Run the proxy. Each connection takes two files, so it may open as many as it is allowed to."""
    configuration = Configuration.model_validate_json(os.environ[CONFIGURATION])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=_loops()) as runner:
        runner.run(_main(configuration))


if __name__ == "__main__":
    main()
