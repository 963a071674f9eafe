"""What the registry says, for people and for machines."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from eval.plain_text import printable
from registry.history import History
from registry.moves import strays
from registry.registrar import Registration
from registry.versions import CHALLENGER, CHAMPION, Snapshot, Version


def registration_lines(name: str, registration: Registration) -> list[str]:
    """The gates one by one, then what was done."""
    lines = [f"{verdict.word}  {verdict.reason}" for verdict in registration.proposal.gates]
    if registration.version is None:
        return [*lines, f"Identical: {name} {registration.reason}."]
    given = f"alias {registration.alias}" if registration.alias else "no alias"
    return [*lines, f"Registered {name} version {registration.version}: {given} ({registration.reason})."]


def registration_json(name: str, registration: Registration) -> dict[str, object]:
    """The same as one object."""
    duplicate = registration.proposal.duplicate_of
    return {
        "name": name,
        "version": registration.version,
        "alias": registration.alias,
        "identical_to": duplicate.number if duplicate and registration.version is None else None,
        "passed": registration.proposal.passed,
        "gates": [verdict.model_dump(mode="json") for verdict in registration.proposal.gates],
        "evidence": registration.proposal.evidence.hash,
        "reason": registration.reason,
    }


def status_table(name: str, snapshot: Snapshot) -> Table:
    """Versions, newest first, with aliases and figures."""
    count = len(snapshot.versions)
    title = f"{name}: {count} version{'s' if count > 1 else ''}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("version", "alias", "candidate", "track"):
        table.add_column(column, no_wrap=True)
    for column in ("articles", "category", "sentiment", "p95 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for version in snapshot.versions:
        table.add_row(
            version.number,
            ", ".join(version.aliases) or "-",
            printable(version.tags.get("agent", "-")),
            printable(version.tags.get("track", "-")),
            _figure(version, "articles", ".0f"),
            _figure(version, "category_accuracy", ".4f"),
            _figure(version, "sentiment_accuracy", ".4f"),
            _figure(version, "latency_ms_p95", ".1f"),
        )
    return table


def status_lines(snapshot: Snapshot, history: History) -> list[str]:
    """Why each version stands where it stands, a line each, and what is wrong or under way."""
    lines = [f"version {version.number}: {version.tags.get('validation_reason', '-')}" for version in snapshot.versions]
    lines += incomparable_lines(snapshot)
    lines.append("Tracks: A external, B inside Databricks, C local.")
    if not history.is_settled:
        lines.append(f"Not finished: {history.head}. The next registry command that changes something finishes it.")
    elif moved := strays(snapshot, history):
        lines.append(f"Moved by other means: {'; '.join(moved)}. Look: news-classifier registry verify.")
    if CHALLENGER in snapshot.aliases:
        lines.append("A challenger waits: news-classifier registry review, then promote.")
    return lines


def incomparable_lines(snapshot: Snapshot) -> list[str]:
    """A line where not all versions were measured on the same articles; without their digest a version says nothing."""
    measured: dict[str, list[str]] = {}
    for version in snapshot.versions:
        if digest := version.tags.get("dataset_digest"):
            measured.setdefault(digest, []).append(version.number)
    if len(measured) < 2:
        return []
    groups = " and ".join(f"version{'s' if len(group) > 1 else ''} {', '.join(group)}" for group in measured.values())
    return [f"Figures cannot be compared between {groups}: they were measured on different articles."]


def status_json(name: str, snapshot: Snapshot, history: History) -> dict[str, object]:
    """The same as one object."""
    return {
        "name": name,
        "aliases": dict(snapshot.aliases),
        "epoch": len(history.entries),
        "unfinished": None if history.is_settled else str(history.head),
        "moved_by_other_means": strays(snapshot, history),
        "versions": [
            {
                "version": version.number,
                "aliases": list(version.aliases),
                "run_id": version.run_id,
                "tags": dict(version.tags),
            }
            for version in snapshot.versions
        ],
    }


def history_table(name: str, history: History) -> Table:
    """Every decision, newest first."""
    table = Table(title=f"{name}: history", title_justify="left", box=SIMPLE_HEAD)
    for column in ("epoch", "UTC", "what", "version", "by", "how", "champion", "evidence"):
        table.add_column(column, no_wrap=True)
    table.add_column("why", overflow="fold")
    for entry in reversed(history.entries):
        outcome = history.outcomes.get(entry.epoch)
        what = entry.action if outcome and outcome.done else f"{entry.action} ({'undone' if outcome else 'unfinished'})"
        table.add_row(
            str(entry.epoch),
            f"{entry.at:%Y-%m-%d %H:%M}",
            what,
            entry.version or "-",
            printable(entry.by),
            entry.how,
            entry.after.get(CHAMPION, "-"),
            (entry.evidence or "-")[:8],
            printable(entry.reason),
        )
    return table


def history_json(name: str, history: History) -> dict[str, object]:
    """The same as one object, oldest first."""
    entries = []
    for entry in history.entries:
        outcome = history.outcomes.get(entry.epoch)
        found = outcome.model_dump(mode="json", exclude={"entry"}) if outcome else None
        entries.append({**entry.model_dump(mode="json"), "hash": entry.hash, "outcome": found})
    return {"name": name, "entries": entries, "problems": list(history.problems)}


def _figure(version: Version, name: str, form: str) -> str:
    value = version.metrics.get(name)
    return "-" if value is None else format(value, form)
