"""Classifies a file of articles of any length with the champion, a batch at a time."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from agent.errors import DataError
from agent.isolation import IsolatedModel
from agent.records import Article
from eval.labeled_set import by_field, checked_columns, read_article
from eval.rows import Row, read_rows

BATCH_SIZE = 1000


class FileSummary(NamedTuple):
    """What became of a file's articles."""

    articles: int
    failed: int
    first_problem: str | None
    """Place and reason of the first article without an answer."""


def read_unlabeled(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[str, Article]]:
    """Place and article of every row, labels left alone.

    Args:
        path: A .json, .jsonl, .csv or .parquet file.
        columns: Field to the column that holds it, where their names differ.

    Raises:
        DataError: the file or one of its rows is malformed, or a row has neither a title nor a content.
    """
    mapping = checked_columns(columns)
    for row in read_rows(path):
        values = by_field(row.values, mapping)
        if not values.keys() & {"title", "content"}:
            found = ", ".join(map(str, row.values))
            raise DataError(f"{path}: {row.place}: no title or content among {found}. Map them: --map content=COLUMN.")
        yield row.place, read_article(path, Row(row.place, values))


def count_articles(path: Path, columns: Mapping[str, str]) -> int:
    """How many articles a file holds, after reading every row.

    Raises:
        DataError: the file or one of its rows is malformed.
    """
    count = sum(1 for _ in read_unlabeled(path, columns))
    if not count:
        raise DataError(f"{path} holds no articles. Give a file with at least one.")
    return count


def classify_file(
    model: IsolatedModel, path: Path, out: Path, columns: Mapping[str, str], progress: Callable[[int], None]
) -> FileSummary:
    """Write one JSON line for each article, in order; `out` appears only when all are written.

    Args:
        model: The model that answers.
        path: A .json, .jsonl, .csv or .parquet file.
        out: The file to write.
        columns: Field to the column that holds it, where their names differ.
        progress: Told how many articles are done.

    Raises:
        DataError: a row is malformed, or `out` cannot be written.
    """
    done = failed = 0
    first_problem = None
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            rows = read_unlabeled(path, columns)
            while batch := list(islice(rows, BATCH_SIZE)):
                answers = model.classify_many([article for _, article in batch])
                for (place, _), answer in zip(batch, answers, strict=True):
                    file.write(json.dumps(answer.model_dump(mode="json"), ensure_ascii=False) + "\n")
                    if answer.error:
                        failed += 1
                        first_problem = first_problem or f"{place}: {answer.error.message}"
                done += len(batch)
                progress(done)
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as err:
        raise DataError(f"{out} cannot be written ({err.strerror}). Give another file with -o.") from err
    finally:
        part.unlink(missing_ok=True)
    return FileSummary(done, failed, first_problem)
