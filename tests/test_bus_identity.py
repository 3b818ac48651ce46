import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import NameInvalid
from bus.identity import Instance, host_id, new_host_id
from messages.values import TOKEN_PATTERN

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", fullmatch=True)


def test_the_singleton_has_the_short_schema_and_redis_namespace() -> None:
    singleton = Instance()

    assert (singleton.name, singleton.namespace, singleton.is_singleton) == ("test-coordinator", "test-coordinator", True)
    assert (singleton.schema, singleton.redis_namespace) == ("test", "test")


@pytest.mark.parametrize(
    ("service", "name", "schema", "redis"),
    [
        ("test-coordinator", "test-coordinator-Chaos1", "test_coordinator_chaos1", "test:coordinator-Chaos1"),
        ("test-coordinator", "test-coordinator-chaos1", "test_coordinator_chaos1", "test:coordinator-chaos1"),
        ("exchange", "exchange-OKX", "exchange_okx", "exchange:OKX"),
        ("audit-correlator", "audit-correlator", "audit", "audit"),
        ("trading-system-engine", "trading-system-engine-Alpha-2", "trading_system_engine_alpha_2", "trading:system-engine-Alpha-2"),
        ("test-coordinator", "blue", "blue", "blue"),
    ],
)
def test_names_of_stores_follow_rule_g(service: str, name: str, schema: str, redis: str) -> None:
    instance = Instance(service=service, name=name)

    assert (instance.schema, instance.redis_namespace) == (schema, redis)


def test_derived_names_can_be_overridden() -> None:
    instance = Instance(schema="test_coordination", redis_namespace="test:x")

    assert (instance.schema, instance.redis_namespace) == ("test_coordination", "test:x")


@pytest.mark.parametrize("name", ["-a", "a-", "a.b", "a b", "a\n", "a_b", "é", "a" * 64, "a>", "*", "\n", "a/../b"])
def test_a_name_that_would_not_be_one_token_is_refused(name: str) -> None:
    with pytest.raises(NameInvalid, match="use 1 to 63 letters, digits and inner hyphens"):
        Instance(name=name)
    with pytest.raises(NameInvalid, match="NAMESPACE"):
        Instance(namespace=name)
    with pytest.raises(NameInvalid, match="SERVICE_NAME"):
        Instance(service=name, name="fine", namespace="fine")


def test_an_unknown_environment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NameInvalid, match="development, testing, production, docker"):
        Instance(environment="staging")  # type: ignore[arg-type]


@given(names)
def test_spellings_that_differ_in_case_are_one_instance(name: str) -> None:
    one, other = Instance(name=name.upper()), Instance(name=name.lower())

    assert one.key == other.key
    assert one.schema == other.schema
    assert one.lease_key("h") == other.lease_key("h")


@given(names, names)
def test_different_instances_never_share_a_schema_or_redis_namespace(one: str, other: str) -> None:
    first, second = Instance(service="s", name=one), Instance(service="s", name=other)

    if first.key != second.key:
        assert first.schema != second.schema
        assert first.redis_namespace != second.redis_namespace


@given(names)
def test_every_derived_name_is_safe_where_it_is_used(name: str) -> None:
    instance = Instance(service="test-coordinator", name=name)

    assert re.fullmatch(r"[a-z0-9_]{1,63}", instance.schema)
    assert re.fullmatch(r"[A-Za-z0-9:-]{1,63}", instance.redis_namespace)


@given(st.text(max_size=300), st.integers(1, 2**22), st.from_regex(r"[0-9a-f]{8}", fullmatch=True))
def test_a_host_id_is_a_token(hostname: str, pid: int, nonce: str) -> None:
    assert re.fullmatch(TOKEN_PATTERN, host_id(hostname, pid, nonce))


def test_two_host_ids_of_one_process_differ() -> None:
    assert new_host_id() != new_host_id()
