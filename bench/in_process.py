"""A logged agent called in this process, untraced, which takes one core.

    python bench/in_process.py MODEL_URI BODIES

BODIES has one request to the agent a line. For each line "N" of standard input N requests are made, in turn; the line
that is printed has the seconds of each.
"""

import json
import sys
import time
from itertools import cycle
from pathlib import Path

import mlflow


def main(model_uri: str, bodies: Path) -> None:
    """Answer until standard input ends."""
    mlflow.tracing.disable()
    model = mlflow.pyfunc.load_model(model_uri)
    requests = cycle([json.loads(line) for line in bodies.read_text(encoding="utf-8").splitlines()])
    print("ready", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            request = next(requests)
            started = time.perf_counter()
            model.predict(request)
            seconds.append(time.perf_counter() - started)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
