"""What the prediction log costs a server: appending, naming articles, and how long its loop waits for its turn.

    python bench/prediction_log.py [--rows-per-s 1600] [--seconds 5]

A loop sleeps a millisecond at a time and appends what so many predictions a second are; how much later it wakes up is
what a request would have waited. `none` is the loop without a log.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from agent.records import Article
from serving.predictions.article_key import ArticleKey
from serving.predictions.log import PredictionLog
from serving.predictions.record import Prediction
from serving.predictions.settings import LogSettings

CONTENT = "word and more of it, " * 140
CASES: dict[str, dict[str, Any]] = {
    "none": {"sink": "none"},
    "sqlite": {"sink": "sqlite"},
    "sqlite, text kept": {"sink": "sqlite", "keep_text": True},
    "parquet": {"sink": "parquet", "flush_s": 2},
    "mlflow, 1 %": {"sink": "mlflow"},
}


class Waits(NamedTuple):
    """Of one case."""

    late_ms: list[float]
    append_us: list[float]
    log: PredictionLog


def prediction(number: int, keep_text: bool) -> Prediction:
    """One as a server makes it."""
    text = ("A title of some words", CONTENT) if keep_text else (None, None)
    labels = ("Sports", "Neutral", 0.9, 0.8)
    return Prediction(
        time.time(),
        f"request-{number:028}",
        "champion",
        "5",
        f"{number:032x}",
        "id",
        *labels,
        12.5,
        0.0001,
        None,
        *text,
    )


async def measure(settings: LogSettings, folder: Path, rows_per_s: int, seconds: float) -> Waits:
    """Append for some seconds, and wait until the sink has all of it."""
    log = PredictionLog(settings, folder)
    log.start()
    late_ms, append_us, number = [], [], 0
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        late_ms.append((time.perf_counter() - before - 0.001) * 1e3)
        while number < passed * rows_per_s:
            number += 1
            one = (prediction(number, settings.keep_text),)
            before = time.perf_counter()
            log.append(one)
            append_us.append((time.perf_counter() - before) * 1e6)
    await asyncio.to_thread(log.close)
    return Waits(late_ms, append_us, log)


def naming_us(folder: Path, count: int = 20_000) -> float:
    """Microseconds that the keyed hash of an article takes."""
    key, article = ArticleKey(folder), Article(title="A title of some words", content=CONTENT)
    start = time.perf_counter()
    for _ in range(count):
        key.hash(article)
    return (time.perf_counter() - start) / count * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows-per-s", type=int, default=1600)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{scratch}/mlflow.db"
        print(f"naming an article of {len(CONTENT):,} characters: {naming_us(Path(scratch)):.1f} us")
        print(
            f"{'':20}{'append us':>18}{'loop late ms':>24}\n{'':20}{'p50':>9}{'p99':>9}{'p50':>8}{'p99':>8}{'max':>8}"
        )
        for name, chosen in CASES.items():
            settings, folder = LogSettings(**chosen), Path(scratch) / name
            waits = asyncio.run(measure(settings, folder, options.rows_per_s, options.seconds))
            append, late = (quantiles(values, n=100) for values in (waits.append_us, waits.late_ms))
            print(
                f"{name:20}{append[49]:9.2f}{append[98]:9.2f}{late[49]:8.2f}{late[98]:8.2f}{max(waits.late_ms):8.1f}"
                f"  {waits.log.written:,} written, {waits.log.dropped} dropped"
            )


if __name__ == "__main__":
    main()
