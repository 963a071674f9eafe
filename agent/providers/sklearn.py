"""The local model, trained with scikit-learn: category and sentiment with calibrated probabilities, at no cost."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.config import AgentConfig
from agent.errors import ArtifactError, ConfigError
from agent.labels import Task
from agent.local_model import load_local_model
from agent.providers import Pace
from agent.records import Article, Call, Classification
from agent.text_features import article_text

BATCH_SIZE = 1024
"""Articles vectorised at once: bounds memory, and a stream sees its first answers early."""
PROBABILITY_DIGITS = 6


class Judgement(NamedTuple):
    """One label with the probabilities of all; both None where the model was not trained for the task."""

    label: str | None
    probabilities: dict[str, float] | None


class SklearnProvider:
    """Answers from a trained model in a folder."""

    def __init__(self, config: AgentConfig, artifact: Path | None) -> None:
        if artifact is None:
            raise ArtifactError(
                f"Agent {config.name!r} needs a trained model, and 'artifact' is not set. Name its folder in its file."
            )
        if config.params:
            raise ConfigError(
                f"Agent {config.name!r}: provider 'sklearn' has no params, got {sorted(config.params)}. Remove them."
            )
        self._model = load_local_model(artifact)
        for task, model in self._model.tasks.items():
            allowed = config.labels.by_task[task]
            if extra := set(model.labels) - set(allowed):
                raise ArtifactError(
                    f"{artifact} was trained on {task} labels {sorted(extra)} that the agent does not have; "
                    f"allowed: {list(allowed)}. Train again with the same labels file."
                )

    def open(self) -> None:
        """Nothing of the environment is needed."""

    def classify(self, articles: Sequence[Article], pace: Pace | None = None) -> Iterator[tuple[int, Classification]]:
        """Answer every article in order, a batch at a time."""
        size = 1 if pace and pace.one_by_one else BATCH_SIZE
        for start in range(0, len(articles), size):
            yield from enumerate(self._classify_batch(articles[start : start + size]), start)

    def _classify_batch(self, articles: Sequence[Article]) -> list[Classification]:
        started = time.perf_counter()
        texts = [article_text(article.title, article.content) for article in articles]
        categories, sentiments = self._judge("category", texts), self._judge("sentiment", texts)
        call = Call(
            stage="classify",
            model=f"sklearn:{self._model.name}",
            outcome="ok",
            latency_ms=(time.perf_counter() - started) * 1000,
            articles=len(articles),
            input_tokens=0,
            output_tokens=0,
            cost_usd=0.0,
        )
        return [
            Classification(
                id=article.id,
                category=category.label,
                sentiment=sentiment.label,
                category_probabilities=category.probabilities,
                sentiment_probabilities=sentiment.probabilities,
                provider="sklearn",
                model=self._model.name,
                model_hash=self._model.hash,
                calls=(call,),
            )
            for article, category, sentiment in zip(articles, categories, sentiments, strict=True)
        ]

    def _judge(self, task: Task, texts: Sequence[str]) -> list[Judgement]:
        model = self._model.tasks.get(task)
        if model is None:
            return [Judgement(None, None)] * len(texts)
        probabilities = model.predict_proba(texts)
        best = probabilities.argmax(axis=1).tolist()
        rounded = probabilities.round(PROBABILITY_DIGITS).tolist()
        return [
            Judgement(model.labels[index], dict(zip(model.labels, row, strict=True)))
            for index, row in zip(best, rounded, strict=True)
        ]
