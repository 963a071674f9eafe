"""Back to an earlier champion, at once: no evaluation, no gates, one decision and its moves."""

from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from registry.history import Entry, History
from registry.ledger import Ledger
from registry.moves import TURNS, Decision, decide, finish
from registry.promotion import Consent, Refused
from registry.versions import CHAMPION, DEFEATED, Registry, Snapshot


def rollback_target(snapshot: Snapshot, history: History, to: str | None = None) -> str:
    """The version that a rollback makes champion: the one that is named, or the champion before this one.

    Raises:
        Refused: there is none, it was never champion, or it is deleted.
    """
    existing = {version.number for version in snapshot.versions}
    current = snapshot.aliases.get(CHAMPION)
    if current != (history.aliases or {}).get(CHAMPION):  # moved by other means, so that it is no champion
        current = None
    earlier = [number for number in history.champions() if number != current]
    known = f"Earlier champions: {', '.join(number for number in earlier if number in existing) or 'none'}"
    if to is None:
        before = [number for number in history.succession() if number != current and number in existing]
        if not before:
            raise Refused(f"There is no champion before this one to go back to. {known}; --to names one of them.")
        return before[-1]
    if to == current:
        raise Refused(f"Version {to} is champion already. Last decision: {history.head}.")
    if to not in earlier:
        raise Refused(f"Version {to!r} was never champion, so nobody approved it. {known}.")
    if to not in existing:
        raise Refused(f"Version {to} does not exist any more. {known}.")
    return to


def finished(registry: Registry, ledger: Ledger) -> History:
    """The history with nothing under way.

    Raises:
        Refused: what was under way is a rollback; giving an interrupted command again must not go back twice.
        RegistryError: a store refused, or the history was edited.
    """
    before, history = ledger.read(), finish(registry, ledger)
    head = before.head
    if head and head.action == "rollback" and not before.is_settled and history.outcomes[head.epoch].done:
        raise Refused(f"A rollback was under way, and is finished now: {head}. To go further back, do it again.")
    return history


def rollback(client: MlflowClient, consent: Consent, to: str | None = None) -> Entry:
    """Make an earlier champion champion again; the one that it replaces becomes defeated.

    Aliases that were moved by other means are taken as they are, because this is what one does when things are wrong.

    Raises:
        Refused: there is no earlier champion, or the version that is named was none.
        Overtaken: somebody else decided first.
        RegistryError: a store refused. The message says whether the decision stands.
    """
    name = registered_model_name()
    registry, ledger = Registry(name, client), Ledger(name, client)
    with TURNS:
        history = finished(registry, ledger)
        snapshot = registry.snapshot()
        target = rollback_target(snapshot, history, to)
        replaced = snapshot.aliases.get(CHAMPION)
        rest = {alias: number for alias, number in snapshot.aliases.items() if number != target}
        defeated = {DEFEATED: replaced} if replaced and replaced != target else {}
        after = {**rest, **defeated, CHAMPION: target}
        decision = Decision("rollback", target, consent.by, consent.how, consent.reason, after)
        return decide(registry, ledger, history, snapshot.aliases, decision)
