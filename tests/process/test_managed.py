"""The delays between a child's deaths and its next starts."""

from hypothesis import given
from hypothesis import strategies as st

from flashsale.process.managed import MAX_DELAY_SECONDS, restart_delay


def test_the_first_death_costs_nothing_and_further_ones_more_and_more() -> None:
    assert [restart_delay(deaths) for deaths in range(1, 6)] == [0.0, 0.1, 0.2, 0.4, 0.8]


@given(st.integers(0, 10**9))
def test_the_delay_grows_to_a_limit(deaths: int) -> None:
    assert 0.0 <= restart_delay(deaths) <= restart_delay(deaths + 1) <= MAX_DELAY_SECONDS
