import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.api import ConsumerConfig, StreamConfig

from bus.connection import Connection
from bus.errors import EventsUnreadable, NoAnswer, TopologyDiffers, TopologyRefused
from bus.server import Server
from bus.subjects import PARTITIONS, covers, partition_of, widest
from bus.topology import Names, ensure_events_stream, ensure_topology

NS = "test-coordinator"
NAMES = Names(NS)


async def fetched(connection: Connection, consumer: str, count: int) -> list[str]:
    """The subjects of the next messages of a consumer of SCENARIOS, acknowledged."""
    subscription = await connection.js.pull_subscribe_bind(consumer, stream=NAMES.scenarios)
    subjects: list[str] = []
    while len(subjects) < count:
        for message in await subscription.fetch(1, timeout=10):
            await message.ack_sync()
            subjects.append(message.subject)
    await subscription.unsubscribe()
    return subjects


async def configurations(connection: Connection) -> dict[str, Mapping[str, object]]:
    return {str(info.config.name): info.config.as_dict() for info in await connection.js.streams_info()}


async def test_a_namespace_gets_its_streams_consumers_and_buckets(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)

    assert set(await configurations(connection)) == {
        f"{NS}-SCENARIOS",
        f"{NS}-RUNS",
        f"{NS}-REJECTED",
        f"KV_{NS}-instances",
        f"KV_{NS}-ownership",
        f"KV_{NS}-systems",
        f"OBJ_{NS}-evidence",
        f"OBJ_{NS}-reports",
        f"OBJ_{NS}-archive",
        f"OBJ_{NS}-archive",
    }
    assert {info.name for info in await connection.js.consumers_info(NAMES.scenarios)} == {
        *(f"scheduler-{n}" for n in range(PARTITIONS)),
        "rejector",
    }


async def test_doing_it_again_changes_nothing_even_over_a_restart(server: Server, connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    before = await configurations(connection)
    await server.restart()

    await ensure_topology(connection.js, NS)

    assert await configurations(connection) == before


async def test_hosts_may_do_it_all_at_once_and_two_namespaces_share_a_server(connection: Connection) -> None:
    async with asyncio.TaskGroup() as hosts:
        for namespace in [NS, NS, NS, NS, "other", "OTHER"]:
            hosts.create_task(ensure_topology(connection.js, namespace))

    assert len(await configurations(connection)) == 3 * 9


async def test_a_scenario_lands_in_the_queue_of_its_keys_partition(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    keys = [f"key-{n}_X" for n in range(40)]

    for key in keys:
        await connection.js.publish(f"{NS}.scenarios.{key}", b"a scenario")

    for partition in {partition_of(key) for key in keys}:
        its = [f"{NS}.queue.{partition}.{key}" for key in keys if partition_of(key) == partition]
        assert await fetched(connection, f"scheduler-{partition}", len(its)) == its


async def test_of_one_partition_nothing_more_is_given_out_before_the_first_is_acknowledged(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    for _ in range(2):
        await connection.js.publish(f"{NS}.scenarios.k", b"a scenario")
    subscription = await connection.js.pull_subscribe_bind(f"scheduler-{partition_of('k')}", stream=NAMES.scenarios)

    (first,) = await subscription.fetch(2, timeout=1)
    with pytest.raises(TimeoutError):
        await subscription.fetch(1, timeout=0.2)
    await first.ack_sync()
    (second,) = await subscription.fetch(1, timeout=10)

    assert first.metadata.sequence.stream < second.metadata.sequence.stream
    await subscription.unsubscribe()


async def test_a_scenario_without_a_proper_key_is_captured_for_the_rejector(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)

    for tail in ("", ".fine", ".a.b", ".a.b.c"):
        await connection.js.publish(f"{NS}.scenarios{tail}", b"a scenario")

    assert await fetched(connection, "rejector", 3) == [f"{NS}.scenarios", f"{NS}.scenarios.a.b", f"{NS}.scenarios.a.b.c"]
    assert await fetched(connection, f"scheduler-{partition_of('fine')}", 1) == [f"{NS}.queue.{partition_of('fine')}.fine"]
    assert (await connection.js.stream_info(NAMES.scenarios)).state.messages == 0


async def test_the_journal_is_republished_live_and_timers_are_not(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    live = await connection.nc.subscribe(f"{NS}.live.>")
    await connection.nc.flush()

    timer = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": f"{NS}.due.3.r.scheduler.t"}
    await connection.js.publish(f"{NS}.timer.3.r.scheduler.t", b"", headers=timer)
    await connection.js.publish(f"{NS}.run.3.r.scheduler.run.run.accepted", b"{}")

    assert (await live.next_msg(timeout=10)).subject == f"{NS}.live.3.r.scheduler.run.run.accepted"


async def test_a_due_timer_appears_in_the_stream(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    due = await connection.js.subscribe(f"{NS}.due.>", stream=NAMES.runs, ordered_consumer=True)

    timer = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": f"{NS}.due.3.r.scheduler.t"}
    await connection.js.publish(f"{NS}.timer.3.r.scheduler.t", b"", headers=timer)

    assert (await due.next_msg(timeout=10)).subject == f"{NS}.due.3.r.scheduler.t"


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (
            StreamConfig(name=f"{NS}-REJECTED", subjects=[f"{NS}.rejected.>"], max_msgs=5, max_age=30 * 86400),
            "max_msgs is 5, ours is 10000",
        ),
        (StreamConfig(name=f"{NS}-REJECTED", subjects=[f"{NS}.rejected.>"], max_msgs=10000), "max_age is not set, ours is 2.592e+06s"),
        (StreamConfig(name=f"KV_{NS}-systems", subjects=["$KV.x.>"]), "subjects is"),
        (StreamConfig(name=f"{NS}-RUNS", subjects=[f"{NS}.run.>"], max_age=60), "max_age is 60s, ours is not set"),
    ],
)
async def test_a_stream_with_other_settings_is_named_with_each_difference_and_left_alone(
    connection: Connection, config: StreamConfig, difference: str
) -> None:
    before = (await connection.js.add_stream(config)).config

    with pytest.raises(TopologyDiffers) as refused:
        await ensure_topology(connection.js, NS)

    assert refused.value.name == config.name
    assert difference in str(refused.value)
    assert (await connection.js.stream_info(str(config.name))).config == before


async def test_a_consumer_with_other_settings_is_named_and_left_alone(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    await connection.js.delete_consumer(NAMES.scenarios, "scheduler-3")
    await connection.js.add_consumer(
        NAMES.scenarios, ConsumerConfig(durable_name="scheduler-3", filter_subject=f"{NS}.queue.3.>", ack_wait=30, max_ack_pending=1)
    )

    with pytest.raises(TopologyDiffers, match=r"consumer scheduler-3 of .*ack_wait is 30s, ours is 2s"):
        await ensure_topology(connection.js, NS)

    assert (await connection.js.consumer_info(NAMES.scenarios, "scheduler-3")).config.ack_wait == 30


async def test_what_only_describes_a_stream_is_not_ours_to_judge(connection: Connection) -> None:
    await ensure_topology(connection.js, NS)
    config = (await connection.js.stream_info(NAMES.rejected)).config
    await connection.js.update_stream(config.evolve(description="looked after by Ann"))

    await ensure_topology(connection.js, NS)

    assert (await connection.js.stream_info(NAMES.rejected)).config.description == "looked after by Ann"


async def test_a_stranger_on_our_subjects_is_named(connection: Connection) -> None:
    await connection.js.add_stream(name="STRANGER", subjects=[f"{NS}.run.>"])

    with pytest.raises(TopologyRefused, match="captured by STRANGER; choose another namespace"):
        await ensure_topology(connection.js, NS)


async def test_replicas_that_the_bus_does_not_have_are_refused_with_its_reason(connection: Connection) -> None:
    with pytest.raises(TopologyRefused, match="replicas > 1 not supported in non-clustered mode"):
        await ensure_topology(connection.js, NS, replicas=3)


async def test_a_server_that_does_not_answer_is_an_error_of_ours(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.topology._ANSWER_LIMIT", 0.2)
    await server.stop()

    with pytest.raises(NoAnswer):
        await ensure_topology(connection.js, NS)


async def test_events_that_nobody_captures_get_an_audit_stream(connection: Connection) -> None:
    captors = await ensure_events_stream(connection.js, "trading", ["trading.events.>", "trading.events.orders.>", "risk.*"])

    assert captors == dict.fromkeys(["trading.events.>", "trading.events.orders.>", "risk.*"], "AUDIT-trading")
    config = (await connection.js.stream_info("AUDIT-trading")).config
    assert (config.subjects, config.max_age) == (["trading.events.>", "risk.*"], 7 * 86400)


async def test_events_that_a_stream_captures_already_are_read_there(connection: Connection) -> None:
    await connection.js.add_stream(name="THEIRS", subjects=["trading.>"])

    captors = await ensure_events_stream(connection.js, "trading", ["trading.events.>", "risk.events.*"])

    assert captors == {"trading.events.>": "THEIRS", "risk.events.*": "AUDIT-trading"}
    assert (await connection.js.stream_info("AUDIT-trading")).config.subjects == ["risk.events.*"]


async def test_our_audit_stream_is_widened_and_keeps_what_it_has(connection: Connection) -> None:
    await ensure_events_stream(connection.js, "trading", ["trading.events.orders.>"])
    await connection.js.publish("trading.events.orders.filled", b"{}")

    captors = await ensure_events_stream(connection.js, "trading", ["risk.>", "trading.events.>"])

    info = await connection.js.stream_info("AUDIT-trading")
    assert captors == dict.fromkeys(["risk.>", "trading.events.>"], "AUDIT-trading")
    assert set(info.config.subjects or []) == {"risk.>", "trading.events.>"}
    assert info.state.messages == 1


async def test_racing_creators_with_different_subjects_both_get_theirs(connection: Connection) -> None:
    async with asyncio.TaskGroup() as creators:
        for n in range(3):
            creators.create_task(ensure_events_stream(connection.js, "trading", [f"trading.{n}.>"]))

    assert set((await connection.js.stream_info("AUDIT-trading")).config.subjects or []) == {"trading.0.>", "trading.1.>", "trading.2.>"}


async def test_what_another_creator_wrote_over_is_captured_again(connection: Connection) -> None:
    """It read the stream before it was widened, and writes it after that."""
    await ensure_events_stream(connection.js, "trading", ["trading.0.>"])
    before = (await connection.js.stream_info("AUDIT-trading")).config
    async with asyncio.TaskGroup() as creators:
        creators.create_task(ensure_events_stream(connection.js, "trading", ["trading.1.>"]))
        while "trading.1.>" not in ((await connection.js.stream_info("AUDIT-trading")).config.subjects or []):
            await asyncio.sleep(0.01)
        await connection.js.update_stream(before.evolve(subjects=["trading.0.>", "trading.2.>"]))

    assert set((await connection.js.stream_info("AUDIT-trading")).config.subjects or []) == {"trading.0.>", "trading.1.>", "trading.2.>"}


async def test_a_stream_that_captures_only_a_part_is_explained(connection: Connection) -> None:
    await connection.js.add_stream(name="THEIRS", subjects=["trading.events.orders.>"])

    with pytest.raises(EventsUnreadable, match=r"THEIRS captures only a part of them \(trading\.events\.orders\.>\)"):
        await ensure_events_stream(connection.js, "trading", ["trading.events.>"])


async def test_a_work_queue_is_not_read_from(connection: Connection) -> None:
    await connection.js.add_stream(StreamConfig(name="JOBS", subjects=["trading.>"], retention="workqueue"))  # type: ignore[arg-type]

    with pytest.raises(EventsUnreadable, match="one reader only"):
        await ensure_events_stream(connection.js, "trading", ["trading.events.>"])


async def test_a_stream_that_drops_what_nobody_waits_for_is_not_read_from(connection: Connection) -> None:
    await connection.js.add_stream(StreamConfig(name="NEWS", subjects=["trading.>"], retention="interest"))  # type: ignore[arg-type]

    with pytest.raises(EventsUnreadable, match=r"NEWS has `interest` retention.*set its retention to `limits`"):
        await ensure_events_stream(connection.js, "trading", ["trading.events.>"])


async def test_a_stream_that_keeps_only_the_last_of_each_subject_is_not_read_from(connection: Connection) -> None:
    await connection.js.add_stream(StreamConfig(name="LATEST", subjects=["trading.>"], max_msgs_per_subject=3))

    with pytest.raises(EventsUnreadable, match=r"LATEST keeps only the last 3 of each subject.*set its max_msgs_per_subject to -1"):
        await ensure_events_stream(connection.js, "trading", ["trading.events.>"])


async def test_a_foreign_stream_with_our_audit_name_is_left_alone(connection: Connection) -> None:
    await connection.js.add_stream(name="AUDIT-trading", subjects=["something.else"])

    with pytest.raises(TopologyDiffers, match="it is not ours, and does not capture trading"):
        await ensure_events_stream(connection.js, "trading", ["trading.events.>"])


patterns = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4).flatmap(
    lambda tokens: st.sampled_from([".".join(tokens), ".".join([*tokens, ">"])])
)
subjects = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6).map(".".join)


@given(patterns, patterns, subjects)
def test_what_a_covered_pattern_matches_its_cover_matches(wide: str, narrow: str, subject: str) -> None:
    if covers(wide, narrow) and covers(narrow, subject):
        assert covers(wide, subject)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a.>", "a.>", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*", "a.>", False),
        ("a.>", "a.*", True),
        ("a.*.c", "a.b.c", True),
        ("a.b.c", "a.*.c", False),
        ("a.*", "a.b.c", False),
    ],
)
def test_covering_is_more_than_overlapping(wide: str, narrow: str, expected: object) -> None:
    assert covers(wide, narrow) is expected


def test_the_widest_subjects_cover_all_and_are_named_once_in_their_order() -> None:
    assert widest(["b.*", "a.b", "a.>", "b.*", "a.b.c"]) == ["b.*", "a.>"]
