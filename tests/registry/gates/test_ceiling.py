from hypothesis import given
from hypothesis import strategies as st

from registry.gates.ceiling import CeilingRule, ceiling
from tests.registry.gates.cases import case

amounts = st.floats(0, 1e6)


@given(amounts, amounts, amounts)
def test_a_lower_figure_never_fails_where_a_higher_one_passes(limit: float, first: float, second: float) -> None:
    rule = CeilingRule(at_most=limit)
    better, worse = (ceiling("a gate", "m", rule, case({"m": value})).passed for value in sorted((first, second)))
    assert better or not worse


@given(st.integers(1, 5000), st.data())
def test_every_share_of_articles_stays_below_itself_and_not_with_one_article_more(
    rows: int, data: st.DataObject
) -> None:
    failed = data.draw(st.integers(0, rows))
    rule = CeilingRule(at_most=1 - (rows - failed) / rows)
    assert ceiling("a gate", "m", rule, case({"m": failed / rows})).passed
    assert not ceiling("a gate", "m", rule, case({"m": (failed + 1) / rows})).passed
