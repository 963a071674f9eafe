from hypothesis import given
from hypothesis import strategies as st

from eval.labeled_articles import LabeledArticle, PackedArticles

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ARTICLES = st.builds(
    LabeledArticle,
    id=TEXT,
    title=TEXT,
    content=TEXT,
    gold=st.fixed_dictionaries({"sentiment": st.sampled_from(["Positive", "Negative"])}),
    story_id=st.none() | TEXT,
    published_at=st.none() | TEXT,
    hard=st.booleans(),
)


@given(st.lists(ARTICLES, max_size=5), st.slices(5))
def test_packed_articles_are_the_articles(articles: list[LabeledArticle], part: slice) -> None:
    packed = PackedArticles()
    for article in articles:
        packed.append(article)
    assert list(packed) == articles
    assert packed[part] == tuple(articles[part])
    assert all(packed[-place] == articles[-place] for place in range(1, len(articles) + 1))
