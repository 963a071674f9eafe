import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from agent.text_features import tokenize
from training.vectorizer import NewsVectorizer

TEXTS = [
    "Rowers win gold\nThe city's four beat the champions by a second.",
    "Bank raises rates\nThe bank raised its rate, the fourth rise, to 5 %.",
    "Rowers lose\nThe champions beat the city's four; the coach has left.",
    "Probe lands\nA probe landed; champions of the rate lose the gold rate.",
]
UNSEEN = ["Champions of rowing\nUnheard zebras beat the bank, wins golden rates!", "", "\n", "xylophone"]


def reference(min_df: int) -> tuple[TfidfVectorizer, TfidfVectorizer]:
    """scikit-learn's own vectorizers for the same words, pairs and character n-grams."""
    words = TfidfVectorizer(
        analyzer=lambda text: [*tokenize(text), *map(" ".join, zip(tokenize(text), tokenize(text)[1:], strict=False))],
        min_df=min_df,
        sublinear_tf=True,
    )
    grams = TfidfVectorizer(
        analyzer="char_wb",
        preprocessor=lambda text: " ".join(tokenize(text)),
        ngram_range=(3, 5),
        min_df=min_df,
        sublinear_tf=True,
    )
    return words, grams


@pytest.mark.parametrize("texts", [TEXTS, UNSEEN])
def test_features_are_those_of_scikit_learn(texts: list[str]) -> None:
    ours = NewsVectorizer(min_df=2, char_min_df=2, char_weight=0.5).fit(TEXTS)
    words, grams = (vectorizer.fit(TEXTS) for vectorizer in reference(min_df=2))
    expected = sparse.hstack([words.transform(texts), 0.5 * grams.transform(texts)], format="csr")
    found = ours.transform(texts)
    assert found.shape == expected.shape
    gram = (found @ found.T).toarray()
    np.testing.assert_allclose(gram, (expected @ expected.T).toarray(), atol=1e-5)
    assert sorted(np.diff(found.indptr)) == sorted(np.diff(expected.indptr))


def test_a_text_has_the_same_features_alone_and_in_a_batch() -> None:
    vectorizer = NewsVectorizer(lexicon={"win": 2.8, "lose": -1.5}, lexicon_weight=0.5).fit(TEXTS)
    together = vectorizer.transform(TEXTS + UNSEEN).toarray()
    alone = np.vstack([vectorizer.transform([text]).toarray() for text in TEXTS + UNSEEN])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_lexicon_adds_a_good_and_a_bad_column() -> None:
    vectorizer = NewsVectorizer(lexicon={"win": 2.0, "lose": -1.0}, lexicon_weight=1.0).fit(TEXTS)
    columns = vectorizer.transform(["win win win\nwin", "lose", "table"]).toarray()[:, -2:]
    np.testing.assert_allclose(columns, [[8 / 2, 0], [0, 1], [0, 0]])


@settings(max_examples=200)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=5))
def test_any_text_gives_finite_features_of_bounded_length(texts: list[str]) -> None:
    vectorizer = NewsVectorizer(min_df=1, char_min_df=1).fit(TEXTS)
    features = vectorizer.transform(texts)
    assert np.isfinite(features.data).all()
    norms = np.sqrt((features.toarray() ** 2).sum(axis=1))
    assert all(norm < 2**0.5 + 1e-5 for norm in norms)
