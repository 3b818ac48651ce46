from pathlib import Path

import pytest

from deploy.errors import ActorUnknown, SettingsInvalid
from deploy.settings import read_settings

NAMES = (
    "SERVICE_NAME",
    "SERVICE_INSTANCE_NAME",
    "ENVIRONMENT",
    "NAMESPACE",
    "NATS_URL",
    "HTTP_PORT",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "STATE_DIR",
)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_without_an_environment_it_is_the_singleton_on_loopback() -> None:
    settings = read_settings()

    assert settings.instance.is_singleton
    assert (settings.host, settings.http_port, settings.nats_url) == ("127.0.0.1", None, "")


def test_an_instance_name_may_have_capitals_and_keeps_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_INSTANCE_NAME", "test-coordinator-Chaos1")

    settings = read_settings()

    assert (settings.instance.schema, settings.instance.namespace) == ("test_coordinator_chaos1", "test-coordinator")


def test_the_log_level_may_be_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "Warning")

    assert read_settings().log_level == "WARNING"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "")

    assert read_settings().http_port is None


def test_what_the_command_line_says_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", "nats://one:4222")

    assert read_settings(nats_url="nats://two:4222").nats_url == "nats://two:4222"
    assert read_settings(nats_url=None).nats_url == "nats://one:4222"


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("HTTP_PORT", "99999", "0 to 65535"),
        ("HTTP_PORT", "http", "0 to 65535"),
        ("LOG_LEVEL", "loud", "debug, info"),
        ("LOG_FORMAT", "xml", "json or console"),
        ("ENVIRONMENT", "moon", "development, testing"),
        ("SERVICE_INSTANCE_NAME", "a b", "letters, digits"),
        ("NAMESPACE", "x.y", "letters, digits"),
        ("REPLICAS", "2", "1, 3 or 5"),
        ("REPLICAS", "many", "1, 3 or 5"),
    ],
)
def test_a_bad_setting_is_refused_with_its_name_its_value_and_what_is_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, right: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsInvalid) as refusal:
        read_settings()

    assert name in str(refusal.value)
    assert repr(value) in str(refusal.value)
    assert right in str(refusal.value)


def test_several_bad_settings_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "-1")
    monkeypatch.setenv("LOG_FORMAT", "xml")

    with pytest.raises(SettingsInvalid) as refusal:
        read_settings()

    assert len(refusal.value.lines) == 2


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings().service_name = "other"  # type: ignore[misc]


def test_the_state_folder_is_what_was_chosen_then_the_setting_then_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = {"XDG_STATE_HOME": "/state"}
    chosen = read_settings().state_folder(tmp_path, home)
    usual = read_settings().state_folder(None, home)
    monkeypatch.setenv("STATE_DIR", "/set")

    assert chosen == tmp_path
    assert usual == Path("/state/test-coordinator/test-coordinator")
    assert read_settings().state_folder(None, home) == Path("/set")


def test_an_unknown_actor_is_refused_with_those_that_exist() -> None:
    from deploy.host import ACTORS, chosen_actors

    assert chosen_actors("all") == ACTORS
    assert chosen_actors("validator, scheduler") == ("scheduler", "validator")
    with pytest.raises(ActorUnknown, match=r"'referee'.*chaos-injector"):
        chosen_actors("scheduler,referee")


@pytest.mark.parametrize("url", ["127.0.0.1:8082", "ftp://a", "http://", "http://a?b=1"])
def test_an_audit_correlator_that_has_no_address_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_CORRELATOR_URL", url)

    with pytest.raises(SettingsInvalid, match=r"AUDIT_CORRELATOR_URL cannot be .*; use where an audit correlator serves, like http://"):
        read_settings()


def test_an_audit_correlator_has_an_address_or_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_CORRELATOR_URL", " http://127.0.0.1:8082 ")
    assert read_settings().audit_correlator_url == "http://127.0.0.1:8082"

    monkeypatch.setenv("AUDIT_CORRELATOR_URL", "")
    assert not read_settings().audit_correlator_url
