"""`serve queue`: from a log to a file that people fill and that `eval run` takes."""

import csv
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.labels import LabelSet
from agent.records import Article
from eval.labeled_set import load_labeled_set
from serving.cli import main
from serving.predictions.article_key import ArticleKey
from tests.conftest import write_jsonl
from tests.serving.predictions.test_log import prediction, running

ARTICLES = [Article(id=f"a{number}", title=f"Title {number}", content=f"=Content {number}") for number in range(40)]
DIFFERENT = (3, 7, 11, 30)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty articles answered by two versions; four of them differently, the third of these without an id."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEWS_CLASSIFIER_HASH_KEY", raising=False)
    folder = tmp_path / "serving-state"
    fill(folder)
    return folder


def fill(folder: Path, **settings: object) -> None:
    key, now = ArticleKey(folder), time.time()
    with running(folder, **settings) as log:
        for number, article in enumerate(ARTICLES):
            served = prediction(
                time=now - 4000 + 100 * number,
                request_id=f"r{number}",
                article_hash=key.hash(article),
                article_id=None if number == 11 else article.id,
                title=article.title,
                content=article.content,
                category_confidence=0.9 - number / 100,
            )
            label = "Health" if number in DIFFERENT else "Sports"
            log.append([served, served._replace(role="shadow", version="6", category=label)])


def queue(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["serve", "queue", *words])
    assert result.exit_code == code, result.output
    return result


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_evidence_is_said_in_a_line_and_the_queue_is_shown(state: Path) -> None:
    said = queue().output.splitlines()
    assert said[0] == (
        "Versions 5 and 6: 40 answers to 40 articles compared; 4 articles got different labels, 10.0% [4.0%, 23.1%] "
        "(category 4, sentiment 0)."
    )
    assert said[1].startswith("A difference of 2 points of accuracy shows with 80% power on 2,0")
    shown = [line.split()[0] for line in said if "Sports | Health" in line]
    assert shown == ["a3", "a7", ArticleKey(state).hash(ARTICLES[11]), "a30"]


def test_the_file_is_a_labelled_set_once_it_is_filled(state: Path, tmp_path: Path, labels: LabelSet) -> None:
    articles = write_jsonl(tmp_path / "articles.jsonl", [article.model_dump() for article in ARTICLES])
    for suffix in (".csv", ".jsonl"):
        target = tmp_path / f"queue{suffix}"
        result = queue("--articles", str(articles), "--out", str(target))
        assert "4 texts found in" in result.output
        text = target.read_text(encoding="utf-8")
        if suffix == ".csv":
            lines = rows(target)
            for line in lines:
                line |= {"category": "Sports", "sentiment": "Neutral"}
            with target.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(lines[0]))
                writer.writeheader()
                writer.writerows(lines)
        else:
            for task, label in (("category", "Sports"), ("sentiment", "Neutral")):
                text = text.replace(f'"{task}": ""', f'"{task}": "{label}"')
            target.write_text(text, encoding="utf-8")
        found = load_labeled_set(target, labels).rows
        assert [row.title for row in found] == ["Title 3", "Title 7", "Title 11", "Title 30"]
        assert found[0].content == ("'=Content 3" if suffix == ".csv" else "=Content 3"), "no formula in a spreadsheet"
        assert (found[0].id, found[0].gold) == ("a3", {"category": "Sports", "sentiment": "Neutral"})


def test_a_file_that_may_hold_labels_is_never_overwritten(state: Path, tmp_path: Path) -> None:
    target = tmp_path / "queue.csv"
    queue("--out", str(target))
    before = target.read_bytes()
    assert "queue.csv exists, and may hold labels" in queue("--out", str(target), code=2).output
    assert target.read_bytes() == before
    assert "4 have no text: join it by article_id or article_hash" in queue("--out", str(tmp_path / "q2.csv")).output


def test_texts_are_found_by_hash_first_and_otherwise_by_id(state: Path, tmp_path: Path) -> None:
    others = [
        {"id": "a3", "title": "another text"},
        {"id": "renamed", "title": "Title 3", "content": "=Content 3"},
        {"id": "a3", "title": "a third one"},
        {"id": "a7", "title": "Title 7, corrected"},
    ]
    articles = write_jsonl(tmp_path / "articles.jsonl", [dict(row) for row in others])
    result = queue("--articles", str(articles), "--out", "q.csv")
    assert "1 texts found in" in result.output
    assert "1 by their id alone" in result.output
    assert "2 have no text" in result.output
    assert [row["title"] for row in rows(tmp_path / "q.csv")] == ["Title 3", "Title 7, corrected", "", ""]
    (state / "hash.key").unlink()
    result = queue("--articles", str(articles), "--out", "q2.csv")
    assert "Only ids could be compared: The key" in result.output
    assert rows(tmp_path / "q2.csv")[0]["title"] == "a third one"


def test_kept_texts_are_in_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "serving-state", keep_text=True, sink="parquet")
    queue("--out", "q.csv")
    assert [row["title"] for row in rows(tmp_path / "q.csv")] == ["Title 3", "Title 7", "Title 11", "Title 30"]


def test_an_id_that_several_articles_share_names_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running(tmp_path / "serving-state") as log:
        for number in range(2):
            served = prediction(request_id=f"r{number}", article_hash=f"{number}" * 32)
            log.append([served, served._replace(role="shadow", version="6", category="Health")])
    found = json.loads(queue("--json").output)["queue"]
    assert {row["id"] for row in found} == {"0" * 32, "1" * 32}
    assert [row["article_id"] for row in found] == ["a1", "a1"]


def test_the_order_and_the_number_are_chosen(state: Path) -> None:
    def ids(*words: str) -> list[str]:
        return [row["article_id"] for row in json.loads(queue("--json", *words).output)["queue"]]

    assert ids("--order", "newest", "--limit", "2") == ["a30", None]
    assert sorted(map(str, ids("--order", "random"))) == sorted(["a3", "a7", "None", "a30"])
    assert ids("--since", "30m") == ["a30"]
    assert len(ids("--since", "99999999999d")) == 4
    assert "The first 1 do not stand for all 4: --order random does." in queue("--limit", "1").output
    assert "--order random does" not in queue("--limit", "1", "--order", "random").output


def test_the_same_facts_for_machines(state: Path) -> None:
    facts = json.loads(queue("--json", "--out", "q.jsonl").output)
    assert facts.pop("articles_needed") == pytest.approx(2000, rel=0.05)
    assert facts.pop("labels_needed") == pytest.approx(200, rel=0.05)
    assert facts.pop("share_low") == pytest.approx(0.0396, abs=1e-4)
    assert facts.pop("share_high") == pytest.approx(0.2305, abs=1e-4)
    assert facts == {
        "versions": ["5", "6"],
        "answers": 40,
        "unanswered": 0,
        "articles": 40,
        "different": 4,
        "different_in": {"category": 4, "sentiment": 0},
        "share": 0.1,
        "smallest_difference": 0.02,
        "file": "q.jsonl",
        "rows": 4,
    }


def test_versions_that_hardly_differ_need_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running(tmp_path / "serving-state") as log:
        for number in range(400):
            served = prediction(request_id=f"r{number}", article_hash=f"h{number}")
            log.append([served, served._replace(role="shadow", version="6")])
    said = queue("--out", "q.csv").output
    assert "neither can be better by 2 points of accuracy on them" in said
    assert "There is nothing to label." in said
    assert not (tmp_path / "q.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--versions", "5"], "'5' is not two versions. Give them as 5,6."),
        (["--versions", "5,7"], "were not asked the same articles. Compared are: 5 and 6."),
        (["--since", "yesterday"], "'yesterday' is no moment. Give 7d, 12h"),
        (["--state", "nowhere"], "'nowhere' holds no prediction log"),
        (["--out", "queue.xlsx"], "unknown suffix '.xlsx'. Allowed: .csv, .jsonl"),
        (["--out", "no/folder/queue.csv"], "cannot be written"),
        (["--articles", "none.csv"], "none.csv cannot be read"),
    ],
)
def test_wrong_input_is_named(state: Path, words: list[str], said: str) -> None:
    assert said in queue(*words, code=2).output.replace("\n", " ")
