"""The proxy of links: what it adds to a round trip, and what goes through it, beside a direct connection or a Toxiproxy."""

from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Figure, figure
from benchmarks.proxy import Trials, measure


async def measure_proxy(_folder: Path) -> list[Figure]:
    """The added round trip in microseconds, and the throughput of one connection in megabytes a second."""
    found = await measure()
    added = figure("proxy_added_round_trip", "us", _added(found.proxy, found.direct))
    through = figure("proxy_throughput", "MB/s", found.proxy.throughput)
    straight = figure("direct", "MB/s", found.direct.throughput)
    if found.toxiproxy is not None:
        theirs = figure("toxiproxy", "us", _added(found.toxiproxy, found.direct))
        added = added.beside(theirs, "Toxiproxy", less_is_better=True)
        through = through.beside(figure("toxiproxy", "MB/s", found.toxiproxy.throughput), "Toxiproxy", less_is_better=False)
    else:
        through = through.beside(straight, "direct connection", less_is_better=False)
    trip = figure("proxy_round_trip_p50", "us", found.proxy.trip_p50)
    direct = figure("direct", "us", found.direct.trip_p50)
    return [added, trip.beside(direct, "direct connection", less_is_better=True), through, replace(straight, name="direct_throughput")]


def _added(way: Trials, direct: Trials) -> list[float]:
    return [ours - theirs for ours, theirs in zip(way.trip_p50, direct.trip_p50, strict=True)]
