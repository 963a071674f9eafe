"""Turns a complete evaluation into a registered version with a verdict, and gives it the alias that the gates allow."""

from collections.abc import Callable
from typing import NamedTuple

from mlflow.tracking import MlflowClient

from agent.champion import registered_model_name
from agent.errors import DataError
from eval.evaluation import EvaluationRecord, LoggedEvaluation
from registry.gates.config import GatesConfig
from registry.measurements import Remeasure
from registry.proposal import Proposal
from registry.registrar import OVERRIDE, Answer, Registrar, Registration
from registry.versions import CANDIDATE


class Approval(NamedTuple):
    """What a person says to a proposal."""

    approved: bool
    override_reason: str | None = None
    """Why the version may become candidate although a gate failed."""


Approver = Callable[[Proposal], Approval]
"""Asked before an alias is given."""


def register(
    evaluation: EvaluationRecord,
    rules: GatesConfig,
    *,
    remeasure: Remeasure,
    approve: Approver | None = None,
    client: MlflowClient | None = None,
) -> Registration:
    """Register an evaluated candidate, unless an identical version exists.

    Registrations that were interrupted before are completed first.

    Args:
        evaluation: A complete evaluation with its logged model.
        rules: The gates.
        remeasure: Evaluates champion or challenger where they were measured on other rows.
        approve: Asked before an alias is given; automatic without.
        client: MLflow's client; a new one without.

    Raises:
        DataError: the evaluation is partial, not in MLflow, or of a version that is registered already.
        RegistryError: the registry could not be read or changed.
    """
    logged = registrable(evaluation)
    registrar = Registrar(client or MlflowClient(), rules, remeasure)
    registrar.resume()
    return registrar.register(logged, lambda proposal: answer_to(proposal, approve))


def registrable(evaluation: EvaluationRecord) -> LoggedEvaluation:
    """The evaluation, if it is whole, logged, and of a model that is not a version already. Raises DataError."""
    if evaluation.partial:
        raise DataError(f"The evaluation of {evaluation.agent} is partial: {evaluation.partial}. Finish it first.")
    if evaluation.run_id is None or evaluation.model_uri is None:
        raise DataError(
            f"The evaluation {evaluation.run_name} is not in MLflow yet. Log it first: news-classifier eval upload."
        )
    if evaluation.model_uri.startswith((f"models:/{registered_model_name()}/", f"models:/{registered_model_name()}@")):
        raise DataError(f"{evaluation.model_uri} is a registered version already. Register a candidate's evaluation.")
    return LoggedEvaluation.model_validate(evaluation.model_dump())


def answer_to(proposal: Proposal, approve: Approver | None) -> Answer:
    """What the gates, and a person where one is asked, make of a proposal."""
    if approve is None:
        return Answer(proposal.alias, proposal.reason)
    said = approve(proposal)
    if proposal.passed:
        refused = Answer(None, f"not approved; {proposal.reason}", "terminal")
        return Answer(proposal.alias, proposal.reason, "terminal") if said.approved else refused
    if said.override_reason:
        return Answer(CANDIDATE, f"{OVERRIDE}{said.override_reason}; {proposal.reason}", "terminal")
    return Answer(None, proposal.reason, "terminal")
