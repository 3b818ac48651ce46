from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from messages.ids import derived_run_id, is_run_id, made_at, new_run_id, traceparent_of

INSTANTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(INSTANTS, st.integers(min_value=1, max_value=2**63))
def test_a_derived_id_is_a_run_id_and_the_same_for_the_same_message(at: datetime, sequence: int) -> None:
    assert is_run_id(derived_run_id(at, sequence))
    assert derived_run_id(at, sequence) == derived_run_id(at, sequence)
    assert derived_run_id(at, sequence) != derived_run_id(at, sequence + 1)


@given(INSTANTS)
def test_run_ids_sort_by_time(at: datetime) -> None:
    assert new_run_id(at) < new_run_id(at + timedelta(milliseconds=2))


@given(INSTANTS)
def test_an_id_says_when_it_was_made(at: datetime) -> None:
    milliseconds = int(at.timestamp() * 1000)
    digits = f"{milliseconds:012x}"

    assert made_at(new_run_id(at)) == milliseconds
    assert made_at(f"{digits[:8]}-{digits[8:]}-7abc-8abc-{'9' * 12}") == milliseconds
    assert made_at("no id") == 0


@given(st.text(max_size=60))
def test_a_trace_context_is_always_one(given_: str) -> None:
    assert traceparent_of("r", traceparent_of("r", given_)) == traceparent_of("r", given_)
