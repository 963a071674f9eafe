"""Articles with their gold labels, and many of them in little memory."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, overload

from agent.labels import Task
from agent.records import Article


class LabeledArticle(NamedTuple):
    """One article with its gold labels; a task is missing where the whole set has no labels of it."""

    id: str
    title: str
    content: str
    gold: Mapping[Task, str]
    story_id: str | None = None
    """Articles about one story share it; they are not independent."""
    published_at: str | None = None
    hard: bool = False

    @property
    def article(self) -> Article:
        """What a model is asked about. It is made each time, because it is larger than all the rest."""
        return Article(id=self.id, title=self.title, content=self.content)


class PackedArticles(Sequence[LabeledArticle]):
    """Articles as one text, each made when it is looked at: as objects a hundred thousand are twice as large."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("q", [0])
        """Of id, title and content of each article, one after the other."""
        self._golds: list[Mapping[Task, str]] = []
        self._same: dict[tuple[str, ...], Mapping[Task, str]] = {}
        self._stories: list[str | None] = []
        self._published: list[str | None] = []
        self._hard = bytearray()

    def append(self, article: LabeledArticle) -> None:
        """Take an article in. All of them have labels of the same tasks."""
        for text in (article.id, article.title, article.content):
            self._text += text.encode()
            self._ends.append(len(self._text))
        self._golds.append(self._same.setdefault(tuple(article.gold.values()), article.gold))
        self._stories.append(article.story_id)
        self._published.append(article.published_at)
        self._hard.append(article.hard)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._hard)

    @overload
    def __getitem__(self, place: int) -> LabeledArticle: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[LabeledArticle, ...]: ...

    def __getitem__(self, place: int | slice) -> LabeledArticle | tuple[LabeledArticle, ...]:
        """One of them, or several."""
        found = range(len(self))[place]
        return tuple(map(self._article, found)) if isinstance(found, range) else self._article(found)

    def _article(self, place: int) -> LabeledArticle:
        ends = self._ends[3 * place : 3 * place + 4]
        name, title, content = (self._text[start:end].decode() for start, end in pairwise(ends))
        about = self._stories[place], self._published[place], bool(self._hard[place])
        return LabeledArticle(name, title, content, self._golds[place], *about)
