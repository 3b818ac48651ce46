"""A real Prometheus for tests, where the machine has one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.ports import free_port

PROGRAM = shutil.which("prometheus")
SCRAPED = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@asynccontextmanager
async def prometheus(folder: Path, scraped: int) -> AsyncIterator[str]:
    """Its address, once it answers. It scrapes this port for the first time some 6 s later."""
    port, config = free_port(), folder / "prometheus.yml"
    config.write_text(SCRAPED.format(port=scraped))
    options = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}")
    process = await asyncio.create_subprocess_exec(PROGRAM or "prometheus", *options, "--log.level=warn")
    try:
        await _ready(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _ready(url: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
