"""Model cards: what a person should know of a version, in its description, beside what people wrote there."""

import re
from collections.abc import Iterable, Sequence

from agent.errors import RegistryError
from agent.redaction import redact
from eval.evaluation import DatasetRecord
from eval.plain_text import printable
from registry.evidence import Evidence, Measurement, load_evidence
from registry.history import Entry, History
from registry.versions import Registry, Version

BEGIN, END = "<!-- news-classifier: card -->", "<!-- news-classifier: end of card -->"
WORDS_CHARS = 300
"""Of what somebody wrote; the history has it whole."""
NEWEST = 5
"""Decisions on a card: MLflow keeps 5,000 characters of a description, people's own words included."""
MARKDOWN = re.compile(r"[\\`*|\[\]]")
FIGURES = {
    "category_accuracy": "category accuracy",
    "category_macro_f1": "category macro-F1",
    "sentiment_accuracy": "sentiment accuracy",
    "joint_accuracy": "both right",
}
LIMITS = (
    "Measured on the labelled set named above and nothing else; other sources, languages and times may score lower.",
    "An answer is one of the configured labels or Unknown, which counts as wrong.",
)


def card_text(evidence: Evidence, reason: str, decisions: tuple[Entry, ...] = ()) -> str:
    """A version's card in Markdown, between its marks.

    Args:
        evidence: What the version was registered with.
        reason: What the gates said.
        decisions: What was decided on it since, oldest first.
    """
    measured, candidate = evidence.candidate, evidence.candidate.candidate
    lines = [
        BEGIN,
        f"**{as_text(measured.agent)}** ({as_text(f'{candidate.provider}:{candidate.model}')}, {candidate.track})",
        "",
        *figure_lines(measured),
        "",
        f"Data: {data_line(measured.dataset)}",
        f"Prompt: {prompt_line(measured)}",
        f"Gates: {as_text(reason)}",
        *against_champion(evidence),
        "",
        *decision_lines(decisions),
        *(f"- Limit: {limit}" for limit in LIMITS),
        "",
        f"Run {measured.run_id}, evidence {evidence.hash}.",
        END,
    ]
    return "\n".join(lines)


def as_text(words: str) -> str:
    """What somebody wrote, as one short line that is neither Markdown nor HTML, ends no card and holds no secret."""
    line = " ".join(printable(redact(words)).split())[:WORDS_CHARS]
    return MARKDOWN.sub(r"\\\g<0>", line).replace("&", "&amp;").replace("<", "&lt;")


def figure_lines(measured: Measurement) -> list[str]:
    """A Markdown table of the figures, with their 95 % intervals."""
    rows = ["| figure | value | 95 % interval |", "|---|---|---|"]
    for name, title in FIGURES.items():
        if (value := measured.metrics.get(name)) is not None:
            low, high = (measured.metrics.get(f"{name}_ci_{end}") for end in ("low", "high"))
            interval = f"{low:.4f} to {high:.4f}" if low is not None and high is not None else "-"
            rows.append(f"| {title} | {value:.4f} | {interval} |")
    for name, title in {"latency_ms_p95": "p95 latency, ms", "cost_usd_per_1k": "US dollars per 1,000"}.items():
        if (value := measured.metrics.get(name)) is not None:
            rows.append(f"| {title} | {value:.4g} | - |")
    return rows


def data_line(dataset: DatasetRecord) -> str:
    """Which labelled set."""
    return f"{as_text(dataset.path)}, {dataset.rows:,} articles, digest {dataset.digest[:12]}"


def prompt_line(measured: Measurement) -> str:
    """Which prompt."""
    candidate = measured.candidate
    if candidate.prompt_hash is None:
        return "none, a local model"
    return f"version {candidate.prompt_version or 'not registered'}, hash {candidate.prompt_hash[:12]}"


def against_champion(evidence: Evidence) -> list[str]:
    """How it compares with the champion of its day."""
    category = evidence.by_task.get("category")
    if category is None or evidence.champion is None:
        return []
    accuracy = category.accuracy
    return [
        f"Beside champion version {evidence.champion.version}: {100 * accuracy.difference:+.2f} points of category "
        f"accuracy ({100 * accuracy.low:+.2f} to {100 * accuracy.high:+.2f}), {category.verdict}; "
        f"{evidence.tried} compared with it on these rows"
    ]


def decision_lines(decisions: Sequence[Entry]) -> list[str]:
    """The newest decisions, oldest first."""
    lines = [
        f"- {entry.at:%Y-%m-%d}: {entry.action} by {as_text(entry.by)} ({entry.how}): {as_text(entry.reason)}"
        for entry in decisions[-NEWEST:]
    ]
    earlier = len(decisions) - len(lines)
    return [f"- {earlier} earlier: news-classifier registry history", *lines] if earlier else lines


def write_cards(registry: Registry, history: History, numbers: Iterable[str | None]) -> None:
    """Bring the cards of versions up to date. Raises RegistryError if one could not be, when all others are."""
    versions = {version.number: version for version in registry.snapshot().versions}
    problems = []
    for number in dict.fromkeys(numbers):
        version = versions.get(number or "")
        try:
            if version and (card := current_card(version, history)):
                text = with_card(version.description, card)
                if text != version.description:
                    registry.describe(version.number, text)
        except RegistryError as err:
            problems.append(err)
    if problems:
        raise problems[0]


def current_card(version: Version, history: History) -> str | None:
    """The card that a version should have; None where it has no evidence."""
    entries = [entry for entry in history.done() if entry.version == version.number]
    if not entries or entries[0].evidence is None or version.run_id is None:
        return None
    evidence = load_evidence(version.run_id, entries[0].evidence)
    return card_text(evidence, entries[0].reason, tuple(entries[1:]))


def is_current_card(version: Version, history: History) -> bool:
    """Whether a version's description holds the card that it should have."""
    card = current_card(version, history)
    return card is None or card in version.description


def with_card(description: str, card: str) -> str:
    """A description with its card replaced; what people wrote around it stays as it is."""
    before, begin, rest = description.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return f"{card}\n\n{description}".strip() if description else card
    return f"{before}{card}{after}"
