"""Runs one registered model version by itself: started as a script by `agent.isolation`, never imported.

Nothing but the standard library and MLflow is imported before the model, so that `agent` here is the version's own
code. Speaks JSON lines: requests on standard input, answers on what was standard output when it started.
"""

import json
import os
import sys
from pathlib import Path


def main(model_uri: str) -> None:
    """Load the model, say which code answers, then answer one request a line until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not stand between the answers

    def send(message: dict[str, object]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        import mlflow

        mlflow.tracing.disable()
        folder = Path(mlflow.artifacts.download_artifacts(model_uri)).resolve()
        model = mlflow.pyfunc.load_model(str(folder))
        code = Path(sys.modules["agent"].__file__ or "").resolve()
        if not code.is_relative_to(folder):
            raise RuntimeError(f"the code that was loaded is {code}, which is not the model's own")
    except Exception as err:
        send({"failed": f"{type(err).__name__}: {err}"})
        return
    send({"code": str(code.parent), "model": str(folder)})
    for line in sys.stdin:
        try:
            send({"answer": model.predict(json.loads(line))})
        except Exception as err:
            send({"error": f"{type(err).__name__}: {err}"})


if __name__ == "__main__":
    main(sys.argv[1])
