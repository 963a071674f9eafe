"""Proves both LLM wires against LiteLLM's proxy, an implementation that is not ours; run by `make litellm`.

LiteLLM gets an environment of its own, made at the first run. What it answers stands in its configuration, so no key
is needed and nothing leaves this machine. It answers before it would translate a request for a service behind it: this
proves addresses, keys, that the request is accepted and that the response is read, not that a schema is obeyed.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has folders of the same names

from agent.config import AgentConfig
from agent.providers import create_provider
from agent.records import Article, Classification
from eval.candidates import SHARED

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-litellm"
PACKAGE = "litellm[proxy]==1.106.0"
HOST = "127.0.0.1"
START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 15
BASE_PATHS = {"openai": "/v1", "anthropic": ""}
"""Of each provider's base URL at the proxy."""
MODELS = {
    "json_schema": ("gpt-4o-mini", "openai", '{"category": "Sports", "sentiment": "Positive"}'),
    "lines": ("claude-haiku-4-5-20251001", "anthropic", "Category: Sports\nSentiment: Positive"),
}
"""By answer format: a model, whose it is, and what it always answers. Either can be asked over both wires."""
EXPECTED = ("Sports", "Positive")
ARTICLES = [
    Article(id=number, title=title, content="They won the cup in front of their own supporters.")
    for number, title in enumerate(("Rovers lift the cup", "Late goal decides the final", "A record for the captain"))
]
OFFLINE = {
    "LITELLM_MODE": "PRODUCTION",  # reads no .env
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
}
"""Settings with which LiteLLM fetches nothing; it has no telemetry any more."""


def install() -> None:
    """Make LiteLLM's environment, unless it is there."""
    stamp = VENV / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == PACKAGE:
        return
    sys.stdout.write(f"Installing {PACKAGE} in {VENV.name} (740 MB, a few minutes, once) ...\n")
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, PACKAGE], check=True)
    stamp.write_text(PACKAGE, encoding="utf-8")


def proxy_config() -> str:
    """LiteLLM's configuration file; JSON is YAML."""
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"{owner}/{name}", "api_key": "unused", "mock_response": answer},
        }
        for name, owner, answer in MODELS.values()
    ]
    return json.dumps({"model_list": models, "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"}})


@contextmanager
def litellm_proxy(master_key: str) -> Iterator[str]:
    """The address of LiteLLM's proxy, which runs meanwhile and sees nothing of this environment."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        config, log = folder / "config.yaml", folder / "log"
        config.write_text(proxy_config(), encoding="utf-8")
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {"PATH": os.environ["PATH"], "HOME": name, "LITELLM_MASTER_KEY": master_key, **OFFLINE}
        command = [str(VENV / "bin" / "litellm"), "--config", str(config), "--host", HOST, "--port", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(process, f"http://{HOST}:{port}/health/readiness", log)
            yield f"http://{HOST}:{port}"
        finally:
            stop(process)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when the proxy says that it is ready. Ends the script when it dies first, or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(1)
    said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    sys.exit(f"LiteLLM did not start within {START_TIMEOUT_S} s (exit code {process.poll()}). It said:\n{said}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End one process, by force if it does not want to."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def classify(provider: str, answer_format: str, address: str, key: str) -> list[Classification]:
    """The articles as the product classifies them, with this key in its environment."""
    prefix = provider.upper()
    os.environ.update({f"{prefix}_API_KEY": key, f"{prefix}_BASE_URL": f"{address}{BASE_PATHS[provider]}"})
    model, *_ = MODELS[answer_format]
    own = {"name": "litellm", "provider": provider, "model": model, "track": "external", "answer_format": answer_format}
    config = AgentConfig.from_settings({**own, **SHARED}, ROOT / "config" / "agents" / "litellm.yaml")
    answers = [answer for _, answer in create_provider(config, None).classify(ARTICLES)]
    assert len(answers) == len(ARTICLES)
    return answers


def problems_of_answers(answers: Sequence[Classification]) -> Iterator[str]:
    """What is wrong with answers to a right key."""
    for answer in answers:
        if answer.error:
            yield f"{answer.error.type}: {answer.error.message}"
        elif (answer.category, answer.sentiment) != EXPECTED:
            yield f"answered {answer.category}, {answer.sentiment} ({answer.unknown_reason})"
        elif len(answer.calls) != 1:
            yield f"took {len(answer.calls)} calls"
        elif not (answer.calls[0].input_tokens and answer.calls[0].output_tokens):
            yield "the token usage is not known"


def problems_of_refusals(answers: Sequence[Classification], key: str) -> Iterator[str]:
    """What is wrong with answers to a wrong key, which LiteLLM without a database refuses with status 400, not 401."""
    for answer in answers:
        if answer.error is None:
            yield "was answered"
        elif key in answer.error.message:
            yield "the error shows the key"
        elif len(answer.calls) != 1:
            yield f"was asked {len(answer.calls)} times"


def proofs(address: str, key: str) -> Iterator[tuple[str, Iterator[str]]]:
    """What is proven, and what speaks against it."""
    for provider in BASE_PATHS:
        for answer_format in MODELS:
            answers = classify(provider, answer_format, address, key)
            yield f"{provider}: labels, usage and one call each, as {answer_format}", problems_of_answers(answers)
    wrong = new_key()
    for provider in BASE_PATHS:
        answers = classify(provider, "lines", address, wrong)
        yield f"{provider}: a wrong key is refused and not shown", problems_of_refusals(answers, wrong)


def new_key() -> str:
    """A key made at random, in the form of LiteLLM's."""
    return f"sk-{secrets.token_hex(16)}"


def main() -> int:
    """Make every proof and show it on one line; 1 when one failed."""
    install()
    os.environ["no_proxy"] = HOST
    failed, key = 0, new_key()
    with litellm_proxy(key) as address:
        for name, problems in proofs(address, key):
            problem = next(problems, None)
            failed += problem is not None
            sys.stdout.write(f"FAIL {name}: {' '.join(problem.split())}\n" if problem else f"ok   {name}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
