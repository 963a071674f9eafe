"""Answers that belong together, found in one pass over the log."""

import resource
import secrets
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DataError
from serving.predictions.comparisons import Pair, choose, compare, pairs
from serving.predictions.record import Prediction
from tests.serving.predictions.test_log import prediction

BOTH = frozenset({"5", "6"})


def asked(number: int, served: str, shadow: str, *, article: str = "", time: float = 0.0) -> list[Prediction]:
    """An article of a request, answered by version 5 and by version 6 as a shadow."""
    one = prediction(request_id=f"r{number}", article_hash=article or f"h{number}", category=served, time=time)
    return [one, one._replace(role="shadow", version="6", category=shadow, time=time + 0.5)]


@given(
    st.lists(
        st.builds(
            prediction,
            time=st.integers(0, 60).map(float),
            request_id=st.sampled_from("ab"),
            role=st.sampled_from(["champion", "shadow"]),
            article_hash=st.sampled_from("xyz"),
        ),
        max_size=12,
    )
)
def test_every_shadow_is_paired_with_what_was_served_whoever_is_first(found: list[Prediction]) -> None:
    found.sort(key=lambda each: each.time)
    roles = Counter((each.request_id, each.article_hash, each.role) for each in found)
    paired = list(pairs(found))
    for request_id, article_hash in {(each.request_id, each.article_hash) for each in found}:
        served, shadows = (roles[request_id, article_hash, role] for role in ("champion", "shadow"))
        pairs_of_it = [pair for pair in paired if pair.shadow[1:5:3] == (request_id, article_hash)]
        assert len(pairs_of_it) == min(served, shadows)
        assert all(pair.served[1:5:3] == (request_id, article_hash) for pair in pairs_of_it)


def test_a_version_that_answers_an_hour_later_is_not_waited_for() -> None:
    one, late = asked(1, "Sports", "World News")
    between = prediction(request_id="r2", time=4000.0)
    assert not list(pairs([one, between, late._replace(time=4001.0)]))
    assert not list(pairs([late, between, one._replace(time=4001.0)]))


def test_only_tasks_that_both_versions_judge_can_differ() -> None:
    one = prediction(category="Sports", sentiment=None)
    assert Pair(one, one._replace(category="World News", sentiment="Neutral")).tasks == ("category",)
    assert Pair(one, one._replace(sentiment="Neutral")).tasks == ()
    assert Pair(one, one._replace(category="Unknown")).tasks == ("category",)


@pytest.mark.parametrize(
    ("served", "shadow", "confidence"),
    [
        (("Sports", 0.9), ("World News", 0.6), 0.6),
        (("Sports", 0.9), ("World News", None), 0.9),
        (("Sports", None), ("World News", None), 0.0),
        (("Sports", 0.9), ("Sports", 0.6), 0.0),
    ],
)
def test_a_pair_is_as_sure_as_its_less_sure_version_where_they_differ(
    served: tuple[str, float | None], shadow: tuple[str, float | None], confidence: float
) -> None:
    one, other = (
        prediction(category=label, category_confidence=value, sentiment_confidence=0.99)
        for label, value in (served, shadow)
    )
    assert Pair(one, other).confidence == confidence


def test_an_article_counts_once_however_often_it_is_asked() -> None:
    log = [
        *asked(1, "Sports", "Sports", article="x"),
        *asked(2, "Sports", "World News", article="x", time=1.0),
        *asked(3, "Sports", "Health", article="x", time=2.0),
        *asked(4, "Sports", "Sports", article="x", time=3.0),
        *asked(5, "Sports", "Sports", article="y", time=4.0),
    ]
    log[-2] = log[-2]._replace(article_id=None)
    comparison = compare(log)[BOTH]
    assert (comparison.answers, comparison.articles, comparison.unanswered) == (5, 2, 0)
    [found] = comparison.disagreements("newest")
    assert (found.compared, found.different, found.newest.shadow.category) == (4, 2, "Health")
    assert found.article_id == "a1"


def test_memory_does_not_grow_with_the_articles_that_were_compared() -> None:
    log = (each for n in range(5000) for each in asked(n, "Sports", "Health" if n % 10 else "Sports", time=float(n)))
    tracemalloc.start()
    try:
        comparison = compare(log)[BOTH]
        assert sum(1 for _ in comparison.disagreements("confident")) == comparison.different == 4500
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # all of them take 4 MB
    finally:
        tracemalloc.stop()


def test_an_article_without_an_answer_of_one_version_is_not_compared() -> None:
    one, other = asked(1, "Sports", "World News")
    comparison = compare([one, other._replace(category=None, error="provider_error")])[BOTH]
    assert (comparison.answers, comparison.unanswered, comparison.different) == (0, 1, 0)


def test_versions_are_compared_whichever_of_them_served() -> None:
    one, other = asked(2, "Sports", "World News")
    swapped = [one._replace(version="6", role="challenger"), other._replace(version="5")]
    comparison = compare([*asked(1, "Sports", "World News"), *swapped])[BOTH]
    assert comparison.answers == 2


def test_the_versions_that_were_compared_last_are_chosen() -> None:
    old = [each._replace(version={"5": "3", "6": "4"}[each.version]) for each in asked(1, "Sports", "World News")]
    found = compare([*old, *asked(2, "Sports", "Sports", time=9.0)])
    assert choose(found).versions == BOTH
    assert choose(found, frozenset({"3", "4"})).articles == 1
    with pytest.raises(DataError, match="The versions '4 and 5' were not asked .* Compared are: 3 and 4, 5 and 6"):
        choose(found, frozenset({"4", "5"}))
    with pytest.raises(DataError, match="No article was answered by two versions"):
        choose(compare([prediction()]))


def test_no_room_to_sort_is_said_like_no_room_to_count() -> None:
    """Regression: a disk that was full only when the queue was sorted was called a defect."""
    found = [
        each._replace(content=secrets.token_hex(20_000)) for i in range(200) for each in asked(i, "World", "Sports")
    ]
    comparison = choose(compare(found))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DataError, match="Make room"):
            list(comparison.disagreements("confident"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
