from hypothesis import given
from hypothesis import strategies as st

from agent.labels import UNKNOWN, LabelSet
from agent.records import ArticleError
from eval.columns import Predictions
from eval.labeled_articles import LabeledArticle
from eval.outcomes import Answer, Bill, Prediction

CATEGORIES = ("Politics", "Sports", "Health")
SENTIMENTS = ("Positive", "Negative")
LABELS = LabelSet.model_validate(
    {
        "categories": [{"name": name, "description": "x"} for name in CATEGORIES],
        "sentiments": [{"name": name, "description": "x"} for name in SENTIMENTS],
    }
)
bills = st.builds(Bill, *[st.integers(0, 3)] * 3, *[st.none() | st.floats(0, 9)] * 5)
answers = st.builds(
    Answer,
    st.sampled_from([None, UNKNOWN, *CATEGORIES]),
    st.sampled_from([None, UNKNOWN, *SENTIMENTS]),
    st.none() | st.tuples(*[st.floats(0, 1)] * 3),
    st.none() | st.tuples(*[st.floats(0, 1)] * 2),
    st.none() | st.floats(0, 1e6),
    bills,
    st.none() | st.text(min_size=1),
    st.none() | st.builds(ArticleError, type=st.just("provider_error"), message=st.text()),
)


@given(st.lists(st.none() | answers, max_size=8), st.randoms())
def test_what_is_put_in_comes_out_in_the_order_of_the_rows(given_answers: list[Answer | None], order: object) -> None:
    rows = [LabeledArticle(str(n), f"title {n}", "", {"category": "Sports"}) for n in range(len(given_answers))]
    held = Predictions(rows, LABELS)
    places = [place for place, answer in enumerate(given_answers) if answer]
    order.shuffle(places)  # type: ignore[attr-defined]
    for place in places:
        answer = given_answers[place]
        assert answer
        held.put(place, answer)
    expected = [Prediction(row, answer) for row, answer in zip(rows, given_answers, strict=True) if answer]
    assert len(held) == len(expected)
    assert list(held) == expected == held[:]
    assert [held[place] for place in range(len(held))] == expected
