"""The labelling queue: disagreements as rows for people to fill in, with the texts of articles."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from agent.labels import TASKS
from eval.labeled_set import checked_columns, read_article, rows_of
from serving.predictions.article_key import ArticleKey
from serving.predictions.comparisons import Disagreement

ANSWERED = ("version", "category", "sentiment", "category_confidence", "sentiment_confidence")
Row = dict[str, object]


class Joined(NamedTuple):
    """How many rows got their text from a file."""

    by_hash: int
    by_id: int
    """Of another text than the one that was classified, or nobody can tell."""


def labelling_row(disagreement: Disagreement) -> Row:
    """An article of a labelled set whose labels people have to fill in, with the text if the log has it.

    Its id is the caller's, or the hash where there is none or several articles have it.
    """
    pair, given = disagreement.newest, disagreement.article_id
    served, shadow = pair
    return {
        "id": given if given and disagreement.namesakes == 1 else served.article_hash,
        "title": served.title or "",
        "content": served.content or "",
        **dict.fromkeys(TASKS, ""),
        "differ_in": " ".join(pair.tasks),
        "times_compared": disagreement.compared,
        "times_different": disagreement.different,
        "newest": datetime.fromtimestamp(pair.time, UTC).isoformat(timespec="seconds"),
        **{f"served_{name}": getattr(served, name) for name in ANSWERED},
        **{f"shadow_{name}": getattr(shadow, name) for name in ANSWERED},
        "article_hash": served.article_hash,
        "article_id": given,
    }


def join_texts(rows: Sequence[Row], file: Path, columns: Mapping[str, str], key: ArticleKey | None) -> Joined:
    """Give rows without text that of an article of a file: of the one with their hash, otherwise with their id.

    Args:
        rows: Are changed.
        file: With title, content and id, as `eval` reads it.
        columns: Field to the column that holds it, where their names differ.
        key: What articles were named by; None joins by id alone.

    Raises:
        DataError: the file or one of its rows is wrong.
    """
    by_hash: dict[object, list[Row]] = {}
    by_id: dict[object, list[Row]] = {}
    for row in rows:
        if not (row["title"] or row["content"]):
            by_hash.setdefault(row["article_hash"], []).append(row)
            by_id.setdefault(row["article_id"], []).append(row)
    hashed: set[int] = set()
    named: set[int] = set()
    for source in rows_of(file, checked_columns(columns)):
        article = read_article(file, source)
        same_text = by_hash.get(key.hash(article), []) if key else []
        same_id = [] if article.id is None else by_id.get(str(article.id), [])
        for row in [*same_text, *(other for other in same_id if id(other) not in hashed)]:
            row["title"], row["content"] = article.title, article.content
        hashed.update(map(id, same_text))
        named.update(map(id, same_id))
    return Joined(len(hashed), len(named - hashed))
