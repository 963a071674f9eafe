"""The promise of the main job: what the shipped articles train passes the shipped gates on the evaluation articles."""

from datetime import date
from pathlib import Path

from agent.config import AgentConfig
from agent.labels import LabelSet
from agent.settings import read_settings
from eval.labeled_set import load_labeled_set
from eval.lifecycle import LIFECYCLE_FILE, read_lifecycle
from eval.metrics import all_figures, flatten
from eval.outcomes import task_outcomes
from eval.runner import predict
from registry.gates.config import GatesConfig
from registry.gates.table import judge
from registry.gates.verdict import Case
from tests.conftest import ROOT
from training.config import TrainingConfig
from training.train import train


def test_the_shipped_model_passes_the_shipped_gates(
    labels: LabelSet, training_config: TrainingConfig, tmp_path: Path
) -> None:
    articles = load_labeled_set(ROOT / "data" / "training_news.jsonl", labels)
    train([articles], tmp_path, training_config, labels)
    shipped = AgentConfig.from_file(ROOT / "config" / "agents" / "local-sklearn.yaml")
    evaluation = load_labeled_set(ROOT / "data" / "labeled_news.jsonl", labels)
    config = shipped.model_copy(update={"artifact": tmp_path})
    predictions = predict(config, evaluation)
    metrics = flatten(all_figures(task_outcomes(evaluation, predictions, labels), predictions))
    gates = read_settings(ROOT / "config" / "gates.yaml", GatesConfig)
    lifecycle = read_lifecycle(ROOT / LIFECYCLE_FILE)
    case = Case(metrics, shipped.provider, shipped.model, None, {}, lifecycle, date(2026, 11, 1))
    assert [verdict.reason for verdict in judge(gates, case) if verdict.word != "pass"] == []
