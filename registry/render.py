"""What the registry says, for people and for machines."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from registry.register import Registration
from registry.versions import Snapshot, Version


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
        "gates": [verdict.model_dump() for verdict in registration.proposal.gates],
        "reason": registration.reason,
    }


def status_table(name: str, snapshot: Snapshot) -> Table:
    """Versions, newest first, with aliases and figures."""
    count = len(snapshot.versions)
    title = f"{name}: {count} version{'s' if count > 1 else ''}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("version", "alias", "candidate", "track"):
        table.add_column(column, no_wrap=True)
    for column in ("category", "sentiment", "p95 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for version in snapshot.versions:
        table.add_row(
            version.number,
            ", ".join(version.aliases) or "-",
            version.tags.get("agent", "-"),
            version.tags.get("track", "-"),
            _figure(version, "category_accuracy", ".4f"),
            _figure(version, "sentiment_accuracy", ".4f"),
            _figure(version, "latency_ms_p95", ".1f"),
        )
    return table


def status_reasons(snapshot: Snapshot) -> list[str]:
    """Why each version stands where it stands, a line each."""
    return [f"version {version.number}: {version.tags.get('validation_reason', '-')}" for version in snapshot.versions]


def status_json(name: str, snapshot: Snapshot) -> dict[str, object]:
    """The same as one object."""
    return {
        "name": name,
        "aliases": dict(snapshot.aliases),
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


def _figure(version: Version, name: str, form: str) -> str:
    value = version.metrics.get(name)
    return "-" if value is None else format(value, form)
