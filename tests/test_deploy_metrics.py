import platform

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from deploy.metrics import PrometheusMetrics

CONSTANT = {"service": "test-coordinator", "instance": "chaos1", "version": "0.1.0"}


def samples(metrics: PrometheusMetrics) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(metrics.exposition().decode()) for sample in family.samples]


def test_every_sample_says_service_instance_and_version() -> None:
    metrics = PrometheusMetrics(**CONSTANT)
    metrics.handled("validator", "run.started", 0.01, error=False)
    metrics.requested("GET", "/health", 200, 0.001)

    found = samples(metrics)

    assert len(found) > 20
    assert all(sample.labels.get(name) == value for sample in found for name, value in CONSTANT.items())


def test_pythons_own_version_has_a_label_of_its_own() -> None:
    (found,) = [sample for sample in samples(PrometheusMetrics(**CONSTANT)) if sample.name == "python_info"]

    assert (found.labels["version"], found.labels["python_version"]) == ("0.1.0", platform.python_version())


def test_handlers_have_rate_errors_and_duration_by_actor_and_message() -> None:
    metrics = PrometheusMetrics(**CONSTANT)
    metrics.handled("validator", "run.started", 0.01, error=False)
    metrics.handled("validator", "run.started", 0.02, error=True)

    found = {sample.name: sample.value for sample in samples(metrics) if sample.labels.get("actor") == "validator"}

    assert found["test_coordinator_handled_total"] == 2
    assert found["test_coordinator_handler_errors_total"] == 1
    assert found["test_coordinator_handler_duration_seconds_count"] == 2


def test_http_errors_are_counted_and_methods_are_bounded() -> None:
    metrics = PrometheusMetrics(**CONSTANT)
    metrics.requested("BREW", "unmatched", 404, 0.001)

    found = {sample.name: sample.labels for sample in samples(metrics) if sample.labels.get("route") == "unmatched"}

    assert found["http_request_errors_total"]["method"] == "OTHER"
    assert found["http_requests_total"]["code"] == "404"


def test_two_of_them_share_nothing_and_the_global_registry_stays_empty_of_ours() -> None:
    one, two = PrometheusMetrics(**CONSTANT), PrometheusMetrics(**CONSTANT)
    one.handled("validator", "run.started", 0.01, error=False)

    assert not any(sample.name.startswith("test_coordinator_handled") for sample in samples(two))
    assert not any(family.name.startswith("test_coordinator") for family in REGISTRY.collect())
