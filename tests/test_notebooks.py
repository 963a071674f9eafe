"""Both notebooks are run as a person runs them: from top to bottom, in a kernel of their own."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import nbformat
import pytest
from mlflow.tracking import MlflowClient
from nbclient import NotebookClient

from agent.classifier import Classifier
from agent.config import AgentConfig
from agent.labels import UNKNOWN, LabelSet
from eval.evaluation import EVALUATION_FILE
from eval.labeled_set import LabeledSet, load_labeled_set
from tests.conftest import ROOT
from tests.eval.logged_runs import LoggedRuns

ARTICLES, RESULTS = "01_eda_news_classifier", "02_results"
FIGURES = [f"{task}_{name}" for task in ("category", "sentiment", "joint") for name in ("accuracy", "macro_f1")]


@pytest.fixture
def repository(workspace: Path, local_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the notebooks use of the repository, with a model that is quickly trained; the code is found beside it."""
    for name in ("data", "notebooks"):
        shutil.copytree(ROOT / name, workspace / name)
    shutil.copy(ROOT / "pyproject.toml", workspace)
    shutil.copytree(local_model, workspace / "models" / "local-sklearn")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return workspace


class Notebook:
    """A notebook that was run in a folder, with an expression that is printed as JSON at its end."""

    def __init__(self, repository: Path, name: str, expression: str, folder: str = ".") -> None:
        notebook = nbformat.read(repository / "notebooks" / f"{name}.ipynb", as_version=4)
        probe = nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({expression}))")
        notebook.cells.append(probe)
        place = {"metadata": {"path": str(repository / folder)}}
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place).execute()
        self.found: Any = json.loads(probe.outputs[-1].text)
        self.outputs = [output for cell in notebook.cells[:-1] for output in cell.get("outputs", ())]
        self.texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in self.outputs]

    @property
    def pictures(self) -> int:
        return sum("image/png" in output.get("data", {}) for output in self.outputs)

    def row(self, name: str) -> list[str]:
        """The first line of a table that begins with a name, split at two spaces."""
        lines = (line for text in self.texts for line in text.splitlines())
        line = next(line for line in lines if line.split()[:1] == [name])
        return [cell.strip() for cell in line.split("  ") if cell.strip()][1:]


def with_interval(metrics: dict[str, float], name: str) -> str:
    value, low, high = (f"{metrics[name + end]:.3f}"[1:] for end in ("", "_ci_low", "_ci_high"))
    return f"{value} [{low}, {high}]"


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_the_first_counts_the_articles_and_asks_about_them(
    folder: str, repository: Path, agent_config: AgentConfig, sample_set: LabeledSet
) -> None:
    notebook = Notebook(
        repository,
        ARTICLES,
        "{'counts': counts.stack().reset_index().to_numpy().tolist(), 'local': local.to_dict('list'), "
        "'fake': fake.drop(columns='confidence').to_dict('list'), 'sent': sent['messages']}",
        folder,
    )
    counted = Counter(
        (name, row["category"], row["sentiment"])
        for name, file in (("evaluation", "labeled_news"), ("training", "training_news"))
        for row in map(json.loads, (ROOT / "data" / f"{file}.jsonl").read_text(encoding="utf-8").splitlines())
    )
    assert {tuple(cells): count for *cells, count in notebook.found["counts"]} == counted

    answers = dict(Classifier(agent_config).classify([row.article for row in sample_set.rows]))
    assert notebook.found["local"]["category"] == [answers[place].category for place in range(10)]

    fake, gold = notebook.found["fake"], [row.gold["category"] for row in sample_set.rows]
    assert fake["category"] == [gold[0], UNKNOWN, *gold[2:]]
    assert fake["calls"] == [1, 2, *[1] * 8]
    assert min(fake["cost_usd"]) > 0
    prompts = [text for text in notebook.texts if notebook.found["sent"][-1]["content"] in text]
    assert len(prompts) == 1  # what is shown is what was sent
    assert prompts[0].count("</article>") == 2  # the attack wrote no third
    assert "&lt;/article&gt;" in prompts[0]
    assert notebook.pictures == 2


@pytest.mark.slow
def test_the_second_shows_the_figures_of_the_runs_that_it_made_and_leaves_the_store_alone(repository: Path) -> None:
    notebook = Notebook(
        repository,
        RESULTS,
        "{run.agent: __import__('mlflow').get_run(run.run_id).data.metrics for run in runs.values()}",
    )
    logged = notebook.found
    assert list(logged) == ["local-sklearn", "fake-llm"]
    for name in FIGURES:
        assert notebook.row(name) == [with_interval(metrics, name) for metrics in logged.values()]
    assert logged["fake-llm"]["category_accuracy"] == pytest.approx(0.95, abs=0.03)
    assert notebook.row("cost_usd_per_1k") == ["$0", f"${logged['fake-llm']['cost_usd_per_1k']:.4f}"]
    assert any("invented" in str(output.get("data")) for output in notebook.outputs)
    assert any(text.startswith("Decided: ") or text.startswith("Inconclusive: ") for text in notebook.texts)
    assert notebook.pictures == 5
    assert not (repository / "mlruns").exists()
    assert not MlflowClient(f"sqlite:///{repository}/mlflow.db").search_experiments(filter_string="name LIKE 'news%'")


def test_the_second_shows_the_runs_of_the_store_and_adds_none(
    store: MlflowClient, repository: Path, labels: LabelSet
) -> None:
    news = load_labeled_set(ROOT / "data" / "labeled_news.jsonl", labels)
    tracks = {"local-sklearn": ("local", 330), "external-openai": ("external", 400)}
    runs = LoggedRuns(labels, repository)
    logged = {
        agent: runs.log(
            news,
            right=right,
            agent=agent,
            track=track,
            params={"agent": agent, "dataset_digest": news.digest, "articles": str(len(news.rows))},
        )
        for agent, (track, right) in tracks.items()
    }
    notebook = Notebook(repository, RESULTS, "[[run.run_id, run.agent] for run in runs.values()]", folder="notebooks")
    assert notebook.found == [[run_id, agent] for agent, run_id in logged.items()]
    metrics = [mlflow.artifacts.load_dict(f"runs:/{run_id}/{EVALUATION_FILE}")["metrics"] for run_id in logged.values()]
    for name in FIGURES:
        assert notebook.row(name) == [with_interval(each, name) for each in metrics]
    candidate, task, articles, difference, *_ = notebook.row("0")
    assert (candidate, task, articles) == ("external-openai", "category", "416")
    assert difference.startswith("+.168 [")  # 70 of 416 articles
    assert any("better" in text for text in notebook.texts)
    assert not any("invented" in str(output.get("data")) for output in notebook.outputs)
    experiments = [found.experiment_id for found in store.search_experiments()]
    assert {run.info.run_id for run in store.search_runs(experiments)} == set(logged.values())
