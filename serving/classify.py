"""Classifies a file of articles of any length with the champion, a batch at a time."""

import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from agent.errors import DataError
from agent.isolation import IsolatedModel
from agent.records import Article
from eval.labeled_set import read_article
from eval.rows import read_rows

BATCH_SIZE = 1000


class FileSummary(NamedTuple):
    """What became of a file's articles."""

    articles: int
    failed: int
    first_problem: str | None
    """Place and reason of the first article without an answer."""


def count_articles(path: Path) -> int:
    """How many articles a file holds, after reading every row.

    Raises:
        DataError: the file or one of its rows is malformed.
    """
    count = 0
    for row in read_rows(path):
        read_article(path, row)
        count += 1
    if not count:
        raise DataError(f"{path} holds no articles. Give a file with at least one.")
    return count


def classify_file(model: IsolatedModel, path: Path, out: Path, progress: Callable[[int], None]) -> FileSummary:
    """Write one JSON line for each article, in order; `out` appears only when all are written.

    Args:
        model: The model that answers.
        path: A .json, .jsonl, .csv or .parquet file.
        out: The file to write.
        progress: Told how many articles are done.

    Raises:
        DataError: a row is malformed, or `out` cannot be written.
    """
    done = failed = 0
    first_problem = None
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            for places, articles in _batches(path):
                for place, answer in zip(places, model.classify_many(articles), strict=True):
                    file.write(json.dumps(answer.model_dump(mode="json"), ensure_ascii=False) + "\n")
                    if answer.error:
                        failed += 1
                        first_problem = first_problem or f"{place}: {answer.error.message}"
                done += len(articles)
                progress(done)
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as err:
        raise DataError(f"{out} cannot be written ({err.strerror}). Give another file with -o.") from err
    finally:
        part.unlink(missing_ok=True)
    return FileSummary(done, failed, first_problem)


def _batches(path: Path) -> Iterator[tuple[list[str], list[Article]]]:
    rows = read_rows(path)
    while batch := list(islice(rows, BATCH_SIZE)):
        yield [row.place for row in batch], [read_article(path, row) for row in batch]
