"""Chooses the text features of a task, as a scikit-learn transformer that can be cross-validated in a pipeline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from agent.text_features import PAIR_BASE, TextFeatures, character_ngrams, index_of, token_features, tokenize


class NewsVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learns `agent.text_features.TextFeatures` from texts.

    Args:
        min_df: Documents a word or pair must occur in to become a feature.
        char_min_df: The same for character n-grams.
        char_range: Shortest and longest character n-gram.
        char_weight: Weight of the n-grams, where that of the words is 1.
        lexicon: Word to valence, negative is bad. Its good and its bad sum become two features.
        lexicon_weight: Weight of those two, where that of the words is 1; 0 leaves them out.
    """

    features_: TextFeatures

    def __init__(
        self,
        min_df: int = 2,
        char_min_df: int = 3,
        char_range: tuple[int, int] = (3, 5),
        char_weight: float = 1.0,
        lexicon: Mapping[str, float] | None = None,
        lexicon_weight: float = 0.0,
    ) -> None:
        self.min_df = min_df
        self.char_min_df = char_min_df
        self.char_range = char_range
        self.char_weight = char_weight
        self.lexicon = lexicon
        self.lexicon_weight = lexicon_weight

    def fit(self, texts: Sequence[str], y: object = None) -> Self:
        """Choose the features that occur often enough and learn their inverse document frequency.

        Args:
            texts: Shape (n,).
            y: Ignored.
        """
        del y
        lexicon = self.lexicon or {}
        documents = [tokenize(text) for text in texts]
        word_df = Counter(chain.from_iterable(map(set, documents)))
        pair_df = Counter(chain.from_iterable(set(pairwise(document)) for document in documents))
        grams = {token: set(character_ngrams(token, *self.char_range)) for token in word_df}
        gram_df = Counter(chain.from_iterable(set().union(*map(grams.__getitem__, document)) for document in documents))

        tokens = tuple(sorted(word_df.keys() | lexicon.keys()))
        words = tuple(token for token in tokens if word_df[token] >= self.min_df)
        ngrams = tuple(sorted(gram for gram, df in gram_df.items() if df >= self.char_min_df))
        row = index_of(tokens)
        pairs = sorted(row[left] * PAIR_BASE + row[right] for (left, right), df in pair_df.items() if df >= self.min_df)
        unweighted = TextFeatures(
            tokens=tokens,
            words=words,
            ngrams=ngrams,
            char_range=self.char_range,
            by_token=token_features(tokens, index_of(words), index_of(ngrams), self.char_range),
            pairs=np.array(pairs, dtype=np.int64),
            idf=np.ones(len(words) + len(ngrams) + len(pairs), dtype=np.float32),
            valences=np.array([lexicon.get(token, 0.0) for token in tokens], dtype=np.float32),
            char_weight=self.char_weight,
            lexicon_weight=self.lexicon_weight,
        )
        df = np.bincount(unweighted.counts(unweighted.read(documents)).indices, minlength=len(unweighted.idf))
        idf = (np.log((1 + len(documents)) / (1 + df)) + 1).astype(np.float32)
        self.features_ = replace(unweighted, idf=idf)
        return self

    def transform(self, texts: Sequence[str]) -> sparse.csr_array:
        """Features of each text, shape (n, features), float32."""
        return self.features_.transform(texts)
