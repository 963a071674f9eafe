"""The JSON Schema of evaluation.json in docs. Run this file to write it anew."""

import json

from eval.evaluation import EvaluationRecord
from tests.conftest import ROOT

SCHEMA = ROOT / "docs" / "evaluation.schema.json"


def schema_text() -> str:
    """The schema of the record as it is now."""
    return json.dumps(EvaluationRecord.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def test_the_schema_in_docs_is_that_of_the_record() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "write it anew: python -m tests.eval.test_evaluation"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
