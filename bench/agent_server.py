"""A logged agent behind MLflow's AgentServer, untraced.

    python bench/agent_server.py PORT MODEL_URI FOLDER_OF_HTTPX

The agent waits in threads, as many as it may make calls, because a plain handler would block the loop.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

THREADS = 64


def main(port: int, model_uri: str, folder: str) -> None:
    """Serve until the process is ended."""
    sys.path.append(folder)
    import mlflow
    import uvicorn
    from mlflow.genai.agent_server import AgentServer, invoke
    from mlflow.types.responses import ResponsesAgentRequest

    mlflow.tracing.disable()
    mlflow.pyfunc.load_model(model_uri, model_config={"max_concurrency": THREADS})
    agent = import_module("agent.responses_agent").NewsClassifierAgent.loaded
    threads = ThreadPoolExecutor(THREADS)

    async def answer(request: ResponsesAgentRequest) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, agent.predict, request)

    invoke()(answer)
    app = AgentServer("ResponsesAgent").app
    uvicorn.run(app, port=port, log_level="warning", access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
