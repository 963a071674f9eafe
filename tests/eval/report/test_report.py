import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agent.config import AgentConfig
from agent.labels import TASKS, UNKNOWN
from agent.records import ArticleError, Call, Classification
from eval.evaluation import CandidateRecord, DatasetRecord, EvaluationRecord
from eval.labeled_articles import LabeledArticle
from eval.labeled_set import LabeledSet
from eval.metrics import all_figures, flatten
from eval.outcomes import Answer, Prediction, task_outcomes
from eval.report import Report, write_report
from tests.conftest import ROOT

SITE = "https://example.invalid"
CHROMIUM = shutil.which("chromium")
ATTACKS = (
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>",
    "</style></title></textarea></pre><script>window.pwned = 1</script><!--",
    '"><svg onload="window.pwned = 1"> {{ 7 * 7 }} {% raw %} &lt;b&gt;',
    f"[click]({SITE}) ![x]({SITE}/x.png) <{SITE}> {SITE} www.example.invalid",
    "a | b \\| c \\\\| d ``` ~~~ `` ` <b>bold</b> **strong** _em_ # h\n\n---\n\n- item\n\n| a |\n|---|\n",
    f"```\n<script>window.pwned = 1</script>\n```\n\n    code\n[x]: {SITE}\n[x] someone@example.invalid",
    f"\x1b[31mred\x1b]8;;{SITE}\x07link\x00 \u202eevil\u202c \u2066x\u2069 z\u200bw \ufeff\u2028\x85\x9b",
    "`" * 300 + " <b>x</b> " + "`" * 96 + " [x](https://example.invalid)",
    "word" * 5000,
)
METRICS: dict[tuple[int, bool, bool], dict[str, float]] = {}
"""Figures of made-up answers, which are the same whatever strangers write."""
MARKUP_TOKENS = {"link_open", "image", "html_inline", "html_block"}


def outcome_report(
    count: int = 240,
    text: Callable[[int], str] = lambda number: f"Text {number}",
    *,
    with_probabilities: bool = True,
    everything_right: bool = False,
    note: str = "a note",
) -> Report:
    """A report over made-up answers; `text` writes whatever a stranger could write."""
    config = AgentConfig.from_file(ROOT / "config" / "agents" / "external-openai.yaml")
    config = config.model_copy(update={"model": note, "note": note})
    random = np.random.default_rng(7)
    predictions = []
    for number in range(count):
        gold = {
            "category": config.labels.category_names[number % 8],
            "sentiment": config.labels.sentiment_names[number % 3],
        }
        hard = not everything_right and number % 5 == 0
        row = LabeledArticle(text(number), text(number), text(number + 1), gold, None, None, hard)
        record = made_answer(config, gold, random, with_probabilities, everything_right)
        if not everything_right and number % 17 == 0:
            error = ArticleError(type="provider_error", message=text(number % 3))
            record = Classification(provider="openai", model=note, error=error)
        elif not everything_right and number % 19 == 0:
            record = record.model_copy(update={"category": "Unknown", "unknown_reason": text(number % 2)})
        predictions.append(Prediction(row, Answer.of(record, config.labels)))
    dataset = LabeledSet(Path("set.jsonl"), tuple(prediction.row for prediction in predictions), "d" * 64)
    outcomes = task_outcomes(dataset, predictions, config.labels)
    kind = (count, with_probabilities, everything_right)
    if kind not in METRICS:
        METRICS[kind] = flatten(all_figures(outcomes, predictions))
    record = EvaluationRecord(
        run_id="r" * 32,
        run_name=note,
        model_uri="models:/m-1",
        agent=config.name,
        candidate=CandidateRecord(
            provider="openai", model=note, track="external", model_hash=None, config_hash="c" * 64, code_hash="e" * 64
        ),
        dataset=DatasetRecord(path=note, rows=count, digest="d" * 64),
        started_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
        git_commit="abc-dirty",
        metrics=METRICS[kind],
        artifacts=[],
        fresh_calls=count,
        cached_calls=0,
    )
    return Report(record, outcomes, predictions, config)


def made_answer(
    config: AgentConfig, gold: dict[str, str], random: np.random.Generator, with_probabilities: bool, right: bool
) -> Classification:
    said, chances = {}, {}
    for task, labels in config.labels.by_task.items():
        weights = random.dirichlet(np.full(len(labels), 0.3))
        best = labels[int(weights.argmax())]
        if right or random.random() < 0.8:
            swap = labels.index(gold[task]), int(weights.argmax())
            weights[list(swap)] = weights[list(reversed(swap))]
            best = gold[task]
        said[task], chances[task] = best, dict(zip(labels, weights.tolist(), strict=True))
    call = Call(stage="classify", model="m", outcome="ok", latency_ms=float(random.lognormal(6)), input_tokens=700)
    return Classification(
        provider="openai",
        model="m",
        category=said["category"],
        sentiment=said["sentiment"],
        category_probabilities=chances["category"] if with_probabilities else None,
        sentiment_probabilities=chances["sentiment"] if with_probabilities else None,
        calls=(call.model_copy(update={"output_tokens": 12, "cost_usd": 0.0001}),),
    )


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.comments: list[str] = []
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open, data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def structure(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements with the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    @property
    def text(self) -> str:
        return "".join(data for tag, data in self.texts if tag != "style")

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


class Written(NamedTuple):
    html: str
    markdown: str

    @property
    def page(self) -> Page:
        return Page(self.html)

    @property
    def markdown_tokens(self) -> list[str]:
        """Kinds of tokens in Markdown with tables, texts left out."""
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(self.markdown)
        kinds = [kind for token in tokens for kind in (token.type, *(child.type for child in token.children or ()))]
        return [kind for kind in kinds if kind != "text"]


def written(folder: Path, report: Report) -> Written:
    paths = write_report(folder, report)
    assert [path.name for path in paths] == ["report.html", "report.md"]
    return Written(*(path.read_text(encoding="utf-8") for path in paths))


def full_report(text: str) -> Report:
    """A report where everything that a stranger can write is this text, with something before it."""
    return outcome_report(60, lambda number: f"x{number} {text}", note=f"x {text}")


@cache
def harmless(folder: Path) -> tuple[list[tuple[str, tuple[str, ...]]], list[str]]:
    """The structure of a page and of Markdown where strangers wrote nothing special."""
    plain = written(folder, full_report("plain"))
    return plain.page.structure, plain.markdown_tokens


def check_inert(folder: Path, text: str) -> None:
    """Whatever strangers write, pages have the same elements and nobody sees what cannot be seen."""
    found = written(folder, full_report(text))
    structure, tokens = harmless(folder)
    assert found.page.structure == structure
    assert not found.page.comments
    assert found.markdown_tokens == tokens
    assert not MARKUP_TOKENS & set(tokens)
    for shown in found:
        unseen = {sign for sign in shown if unicodedata.category(sign) in ("Cc", "Cf", "Cs")} - {"\n", "\t"}
        assert not unseen


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_strangers_write_is_text(tmp_path: Path, attack: str) -> None:
    check_inert(tmp_path, attack)


SIGNS = st.sampled_from("<>&\"'`|\\[]()!*_~#-+=:/.@{}%$ \n\t\x00\x1b\u202e\u200b\u2028wh3é漢")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.one_of(SIGNS, st.characters()), max_size=60))
def test_any_text_is_inert(tmp_path: Path, text: str) -> None:
    check_inert(tmp_path, text)


def test_hostile_articles_are_shown_and_do_nothing(tmp_path: Path) -> None:
    rows = [
        json.loads(line) for line in (ROOT / "data" / "hostile_news.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    texts = [f"{row['title']} {row['content']}" for row in rows]
    found = written(tmp_path, outcome_report(len(texts), lambda number: texts[number % len(texts)]))
    assert {tag for tag, _ in found.page.elements}.isdisjoint({"script", "iframe", "img", "a", "form"})
    assert not MARKUP_TOKENS & set(found.markdown_tokens)


def test_secrets_stay_in_even_when_cut_or_spelt_with_invisible_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "correct-horse-battery-staple"
    monkeypatch.setenv("NEWS_API_KEY", secret)
    hidden = "\u200b".join(secret)
    for text in (secret, hidden, *(f"{'x' * length}{secret}" for length in (185, 585))):
        found = written(tmp_path, full_report(text))
        for shown in found:
            assert secret not in shown
            assert "correct" not in shown


def test_the_page_is_one_file_without_scripts_and_with_a_strict_policy(tmp_path: Path) -> None:
    html, _ = written(tmp_path, full_report("plain"))
    page = Page(html)
    [policy] = [found["content"] or "" for tag, found in page.elements if "http-equiv" in found]
    [style] = [data for tag, data in page.texts if tag == "style" and data.strip()]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "url(" not in style
    assert "@import" not in style
    for tag, attributes in page.elements:
        assert tag != "script"
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        assert all((attributes.get(name) or "data:,") == "data:," for name in ("src", "href", "srcset"))


def test_the_verdict_comes_first_and_headings_are_in_order(tmp_path: Path) -> None:
    report = full_report("plain")
    page = written(tmp_path, report).page
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[:2] == [1, 2]
    assert levels.count(1) == 1
    assert all(later - level <= 1 for level, later in zip(levels, levels[1:], strict=False))
    assert page.ids[0] == "verdict"
    assert len(page.ids) == len(set(page.ids))
    for tag, attributes in page.elements:
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in page.ids
    accuracy = f"{report.record.metrics['category_accuracy']:.3f}".removeprefix("0")
    assert accuracy in page.text
    for fact in (
        "abc-dirty",
        "r" * 32,
        "d" * 64,
        "models:/m-1",
        "Choose exactly one category",
        "max_output_tokens: 1024",
    ):
        assert fact in page.text


@pytest.mark.parametrize(
    ("count", "partial", "headline"),
    [
        (200, None, "Whole evaluation, enough articles to decide"),
        (199, None, "Too few articles to decide"),
        (200, "the budget of $1 was spent", "Partial evaluation: it decides nothing"),
    ],
)
def test_verdicts(tmp_path: Path, count: int, partial: str | None, headline: str) -> None:
    report = outcome_report(count)
    report = report._replace(record=report.record.model_copy(update={"partial": partial}))
    html, markdown = written(tmp_path, report)
    assert headline in Page(html).text
    assert f"**{headline.replace(':', '&#58;')}" in markdown
    assert (partial or "") in Page(html).text


def test_what_has_no_content_is_left_out(tmp_path: Path) -> None:
    everything = {"verdict", "figures", "groups", "confusion", "labels", "costs", "reasons", "worst"}
    everything |= {"run", "prompt", "configuration"}
    assert set(written(tmp_path, full_report("plain")).page.ids) == everything
    report = outcome_report(everything_right=True)
    local = report._replace(config=report.config.model_copy(update={"prompt": None}))
    found = written(tmp_path, local)
    assert everything - set(found.page.ids) == {"groups", "reasons", "worst", "prompt"}
    assert "Disagreements" not in found.markdown


def test_the_most_confident_mistakes_come_first(tmp_path: Path) -> None:
    report = outcome_report()
    confidences = [
        probabilities[report.config.labels.by_task[task].index(label)]
        for prediction in report.predictions
        for task in TASKS
        if (label := prediction.label(task)) not in (prediction.row.gold[task], UNKNOWN)
        and label is not None
        and (probabilities := prediction.probabilities(task)) is not None
    ]
    html, markdown = written(tmp_path, report)
    articles = markdown.split("\n### ")[1 : 25 + 1]
    shown = [max(float(found) for found in re.findall(r"\*\* ([\d.]+) instead", article)) for article in articles]
    assert shown[0] == pytest.approx(max(confidences), abs=0.001)
    assert shown == sorted(shown, reverse=True)
    assert html.count("<li>") == 25 < len(confidences)
    assert "the most confident first" in html


def test_without_probabilities_those_wrong_in_both_come_first(tmp_path: Path) -> None:
    html, _ = written(tmp_path, outcome_report(with_probabilities=False))
    misses = [item.count("instead of") for item in html.split("<li>")[1:]]
    assert misses == sorted(misses, reverse=True)
    assert set(misses) == {1, 2}
    assert "most confident" not in html


def test_a_hundred_thousand_predictions_are_a_small_file_in_seconds(tmp_path: Path) -> None:
    report = outcome_report(1000, lambda number: ATTACKS[number % len(ATTACKS)] * 5)
    many = report._replace(
        predictions=list(report.predictions) * 100,
        outcomes=[
            outcome._replace(gold=np.tile(outcome.gold, 100), predicted=np.tile(outcome.predicted, 100))
            for outcome in report.outcomes
        ],
    )
    started = time.monotonic()
    html, markdown = written(tmp_path, many)
    assert time.monotonic() - started < 30
    assert len(html.encode()) < 2_000_000
    assert len(markdown.encode()) < 2_000_000


def test_templates_are_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = ROOT / "eval" / "report" / "templates"
    assert {path.relative_to(ROOT).as_posix() for path in templates.iterdir()} <= names


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_a_browser_shows_it(tmp_path: Path, scheme: str, width: int) -> None:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "Chromium has to be installed"
    write_report(tmp_path, full_report(" ".join(ATTACKS)))
    seen: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("dialog", lambda dialog: seen.append(dialog.message))
        page.on("request", lambda request: seen.append(request.url))
        address = (tmp_path / "report.html").as_uri()
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("window.pwned") is None
        verdict = page.locator("#verdict").bounding_box()
        accuracy = page.locator(".tile.first .big").bounding_box()
        assert verdict
        assert accuracy
        assert accuracy["y"] + accuracy["height"] < 800
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.heat .right')).backgroundColor")
            != "rgba(0, 0, 0, 0)"
        )
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 27)"
        assert dark == (scheme == "dark")
        browser.close()
    assert seen == [address]
