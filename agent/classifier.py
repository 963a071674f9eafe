"""What the agent does, without MLflow: articles in, answers out, and no label but the configured ones."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from agent.config import AgentConfig
from agent.labels import TASKS, UNKNOWN
from agent.providers import Pace, Provider, WaitingProvider, create_provider
from agent.records import Article, ArticleError, Classification, InvalidArticle


class Classifier:
    """One candidate at work.

    Args:
        config: Provider, model, labels and parameters.
    """

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self.artifact = config.artifact
        """Folder of the trained model; a logged agent puts its own copy here."""
        self._created: Provider | None = None
        self._allowed = {task: {None, UNKNOWN, *names} for task, names in config.labels.by_task.items()}

    def prepare(self) -> None:
        """Load what the provider needs now rather than at the first article. Raises as `create_provider` does."""
        self._provider()

    def release(self) -> None:
        """Free what the provider holds until it is needed again."""
        self._created = None

    def open(self) -> None:
        """Find in the environment what is needed, too. Raises ConfigError."""
        self._provider().open()

    def classify(
        self, articles: Sequence[Article | InvalidArticle], pace: Pace | None = None
    ) -> Iterator[tuple[int, Classification]]:
        """Answer every article once, as `(its index, answer)`, as the answers come.

        Args:
            articles: Shape (n,). One that cannot be classified is answered with an `error`.
            pace: How many at a time; the configuration's unless given.
        """
        asked: list[tuple[int, Article]] = []
        for index, article in enumerate(articles):
            problem = article.problem if isinstance(article, InvalidArticle) else article.problem()
            if isinstance(article, InvalidArticle) or problem:
                yield index, self._refuse(article, str(problem))
            else:
                asked.append((index, article))
        for position, record in self._provider().classify([article for _, article in asked], pace):
            yield asked[position][0], self._enforce_labels(record)

    @property
    def waits(self) -> bool:
        """Whether answering is waiting for a service, so that many articles can be asked about at once."""
        return self._waiting is not None

    @property
    def is_down(self) -> bool:
        """Whether the service that is waited for is left alone because it failed too often."""
        return self._waiting is not None and self._waiting.is_down

    async def answer(self, article: Article) -> Classification:
        """Answer one article in the event loop of the caller, for a provider that waits.

        Raises:
            ConfigError: the environment lacks a key or an address.
        """
        if problem := article.problem():
            return self._refuse(article, problem)
        assert self._waiting
        return self._enforce_labels(await self._waiting.answer(article))

    @cached_property
    def _waiting(self) -> WaitingProvider | None:
        provider = self._provider()
        return provider if isinstance(provider, WaitingProvider) else None

    def _provider(self) -> Provider:
        """The provider, created when first needed so that importing and configuring cost nothing."""
        if self._created is None:
            self._created = create_provider(self.config, self.artifact)
        return self._created

    def _refuse(self, article: Article | InvalidArticle, problem: str) -> Classification:
        return Classification(
            id=article.id,
            provider=self.config.provider,
            model=self.config.model,
            error=ArticleError(type="invalid_article", message=problem),
        )

    def _enforce_labels(self, record: Classification) -> Classification:
        """Whatever a model said, only configured labels leave the agent."""
        wrong = [task for task in TASKS if getattr(record, task) not in self._allowed[task]]
        return record.model_copy(update=dict.fromkeys(wrong, UNKNOWN)) if wrong else record
