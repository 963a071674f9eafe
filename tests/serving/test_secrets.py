"""No key that stands anywhere near the product gets into anything that it writes.

Every place where a key can stand gets one of its own, the product runs for real, and then every byte that it wrote to
its working directory, its temporary folder and its standard streams is searched for each of them: in pieces, across
line ends, base64- and URL-encoded, in archives and in the rows of databases.
"""

import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import sqlite3
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
import yaml
from mlflow.tracking import MlflowClient

from tests.conftest import ROOT, write_jsonl
from tests.llm_server import LLMServer, Refused

pytestmark = pytest.mark.slow
START_TIMEOUT_S = 90
PIECE = 12
"""So many characters of a key are a leak."""
START_OF_ITS_KIND = re.compile(r"^(sk-proj-|sk-ant-api03-|dapi|eyJhbGciOiJIUzI1NiJ9\.eyJ)")
OWN_VARIABLES = re.compile(r"^(MLFLOW|OPENAI|ANTHROPIC|DATABRICKS|UC)_|_proxy$", re.IGNORECASE)
PLANTED = "data/planted.jsonl"
MODELS = {"gpt-4o-mini", "claude-sonnet-4-5-20250929"}


# Keys, in the shapes and lengths of real ones.


def alphanumeric(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def openai() -> str:
    return f"sk-proj-{alphanumeric(74)}_{alphanumeric(45)}-{alphanumeric(35)}"


def anthropic() -> str:
    return f"sk-ant-api03-{alphanumeric(40)}_{alphanumeric(52)}AA"


def databricks() -> str:
    return f"dapi{secrets.token_hex(16)}"


def web_token() -> str:
    return f"eyJhbGciOiJIUzI1NiJ9.eyJ{alphanumeric(600)}.{alphanumeric(43)}"


def shapeless() -> str:
    """As a key of Azure OpenAI: nothing tells it from other text."""
    return alphanumeric(84)


def opaque_token() -> str:
    return alphanumeric(400)


def password() -> str:
    return alphanumeric(24)


def awkward_password() -> str:
    """One that is escaped where it stands in JSON or CSV."""
    return f'{alphanumeric(20)}"\\{alphanumeric(20)}'


# Where they stand.

Maker = Callable[[], str]
ANYWHERE: Mapping[str, Maker] = {
    "an innocent variable": shapeless,
    "environment": shapeless,
    "config/.env": anthropic,
    "Databricks token": databricks,
    "secret scope": shapeless,
    "remote of git": password,
    "tag": openai,
    "wrong key": openai,
    "wrong key under mlflow run": openai,
    "wrong key of the served model": openai,
    "wrong key with a space behind it": shapeless,
    "wrong key with a line end": shapeless,
    "wrong web token": web_token,
    "wrong opaque token": opaque_token,
    "title": openai,
    "title behind a line end": openai,
    "title behind an escaped line end": openai,
    "title with a password of the environment": awkward_password,
    "content": web_token,
    "gold label with a key of the environment": shapeless,
    "hostile article's id": openai,
    "hostile article's attack": openai,
    "answer": openai,
    "answer behind a line end": databricks,
    "answer with a key of the environment": shapeless,
    "provider's error": openai,
    "provider's error with a web token": web_token,
    "proxy": password,
    "service": password,
    "service's query": shapeless,
    "tracking server": password,
    "request's title": anthropic,
    "request's id": openai,
    "request's query": openai,
    "request that is no list": openai,
    "request that is no message": openai,
    "request's unknown field": openai,
    "trace of predict": openai,
    "trace of predict_stream": openai,
    "span's bearer": shapeless,
    "span's header": shapeless,
    "span's raw headers": shapeless,
    "span's attribute": web_token,
    "span's address": password,
    "span's attribute of MLflow": openai,
    "span's output": databricks,
    "span's event": openai,
    "span's exception": openai,
    "log message": openai,
    "log argument": anthropic,
    "log exception": web_token,
    "log of MLflow": databricks,
    "log without a handler": openai,
}
AGENTS: Mapping[str, tuple[Maker, Callable[[str], Mapping[str, object]]]] = {
    "agent's base_url": (password, lambda key: {"base_url": f"https://user:{key}@127.0.0.1/v1"}),
    "agent's base_url, no password": (shapeless, lambda key: {"base_url": f"https://{key}@127.0.0.1/v1"}),
    "agent's bearer": (shapeless, lambda key: extra_header("Authorization", f"Bearer {key}")),
    "agent's basic header": (password, lambda key: extra_header("Authorization", f"Basic {in_base64(f'user:{key}')}")),
    "agent's header": (shapeless, lambda key: extra_header("x-api-key", key)),
    "agent's parameter": (shapeless, lambda key: {"params": {"api_key": key}}),
    "agent's unknown setting": (shapeless, lambda key: {"api_key": key}),
    "agent's note": (openai, lambda key: {"note": f"Ask Bob for {key}."}),
    "agent's note behind a line end": (openai, lambda key: {"note": f"Ask Bob.\n{key}"}),
    "agent's note with a password of the environment": (awkward_password, lambda key: {"note": f"Ask Bob for {key}."}),
    "agent's model": (openai, lambda key: {"model": key}),
    "agent's name": (openai, lambda key: {"name": f"external-{key}"}),
}
FILES: Mapping[str, tuple[Maker, str, str, str]] = {
    "labels file": (openai, "labels", "labels.yaml", "Companies, markets"),
    "prompt file": (anthropic, "prompt", "prompts/zero-shot.yaml", "You label news articles"),
    "price table": (databricks, "prices", "prices.yaml", "mlflow 3.17.2"),
}
"""Setting of the agent, file that it names, and the text in that file behind which the key is put."""
OPTIONS: Mapping[str, tuple[Maker, Callable[[str], Sequence[str]]]] = {
    "option --tag without a name": (
        openai,
        lambda key: ["run", "--provider", "openai", "--data", PLANTED, "--tag", key],
    ),
    "option --track": (openai, lambda key: ["run", "--track", key]),
    "option --model": (openai, lambda key: ["run", "--provider", "openai", "--model", key]),
    "argument too many": (openai, lambda key: ["run", key]),
    "command": (openai, lambda key: [key]),
}
STORES: Mapping[str, tuple[Maker, str]] = {
    "store": (password, "postgresql+absent://user:{}@127.0.0.1:1/x"),
    "store, no user": (password, "postgresql+absent://:{}@127.0.0.1:1/x"),
    "store, a slash in it": (
        lambda: f"{alphanumeric(12)}/{alphanumeric(12)}",
        "postgresql+absent://u:{}@127.0.0.1:1/x",
    ),
    "store, an @ in it": (lambda: f"{alphanumeric(12)}@{alphanumeric(12)}", "postgresql+absent://u:{}@127.0.0.1:1/x"),
    "store over HTTP": (password, "http://user:{}@127.0.0.1:1"),
}
REFUSED = (*AGENTS, *FILES, *OPTIONS, *STORES)
PLACES: Mapping[str, Maker] = {
    **ANYWHERE,
    **{place: row[0] for table in (AGENTS, FILES, OPTIONS, STORES) for place, row in table.items()},
}


def extra_header(name: str, value: str) -> Mapping[str, object]:
    return {"params": {"extra_headers": {name: value}}}


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# Where they are searched.


def signs(key: str) -> list[bytes]:
    """What gives a key away, in small letters: pieces of it, and its encoded forms."""
    secret = START_OF_ITS_KIND.sub("", key)
    found = [secret[start : start + PIECE] for start in range(0, len(secret) - PIECE + 1, PIECE)]
    for before in range(3):  # base64 of a text depends on where in the whole it stands
        text = in_base64(before * " " + key).rstrip("=")[4 if before else 0 : -2]
        found += [text, text.replace("+", "-").replace("/", "_")]
    return [sign.lower().encode() for sign in dict.fromkeys([*found, quote(key, safe="")])]


class Product:
    """A working directory as after `git clone`, in which the product runs, and all that it said there."""

    def __init__(self, folder: Path, store: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.outputs: dict[str, str] = {}
        self.codes: dict[str, object] = {}
        self.planted: list[Path] = []
        for name in ("agent", "eval", "registry", "serving", "training", "config"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".env"))
        for source in (ROOT / "MLproject", ROOT / "python_env.yaml", store):
            shutil.copy(source, folder)
        for name in ("tmp", "data", "config/planted"):
            (folder / name).mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not OWN_VARIABLES.search(name)},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(folder / "tmp"),
            "DATABRICKS_CONFIG_FILE": str(folder / "none"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            **environment,
        }

    def plant(self, name: str, content: str) -> str:
        """Write a file that holds a key and is not searched. Returns its name."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        self.planted.append(path)
        return name

    def python(self, name: str, *words: object, given: object = None, **environment: str) -> None:
        """Run Python and keep what it says."""
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment | environment,
        )
        self.outputs[name], self.codes[name] = done.stdout + done.stderr, done.returncode

    def several(self, commands: Mapping[str, "Command"]) -> None:
        """Run several commands in one process, because starting one takes seconds; keep what each says."""
        self.python("several", "-c", SEVERAL, given=list(commands.values()))
        results = json.loads(self.outputs.pop("several"))
        for name, (code, text) in zip(commands, results, strict=True):
            self.outputs[name], self.codes[name] = text, code

    @contextmanager
    def service(self, name: str, path: str, *words: str, **environment: str) -> Iterator[str]:
        """A Python process that serves HTTP, with its port behind its words; what it says is kept. Gives its address.

        Args:
            name: Of its output.
            path: What answers when it has started.
            words: Its command line.
            environment: Beside this product's.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command, said = [sys.executable, *words, port], self.folder / f"{name}.log"
        with said.open("wb") as log:
            running = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self.environment | environment
            )
        try:
            wait_for(f"http://127.0.0.1:{port}{path}", running)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait()

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that was written, by where: outputs, files, files in archives, rows of databases."""
        for name, text in self.outputs.items():
            yield f"output of {name}", text.encode()
            yield f"output of {name}, unwrapped", "".join(text.split()).encode()
        source = {self.folder / name for name in ("agent", "eval", "registry", "serving", "training", ".git")}
        for path in sorted(set(self.folder.rglob("*")) - set(self.planted)):
            if path.is_file() and not source & set(path.parents):
                yield from contents(path, str(path.relative_to(self.folder)))


def contents(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    yield name, content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from ((f"{name}/{inner}", archive.read(inner)) for inner in archive.namelist())
    if content.startswith(b"SQLite format 3"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            yield from ((f"{name} {n} {row[:60]}", row.encode()) for n, row in enumerate(database.iterdump()))


class Evidence(NamedTuple):
    """What became of everything."""

    texts: Mapping[str, bytes]
    """All that was written, in small letters, by where."""
    codes: Mapping[str, object]
    """Exit codes of the commands."""
    used: frozenset[str]
    """Keys that the services were sent."""

    def places_of(self, key: str) -> list[str]:
        """Where a key can be found."""
        return [place for place, text in self.texts.items() if any(sign in text for sign in signs(key))]


# What is done.

Command = tuple[Sequence[str], Mapping[str, str]]
"""Arguments, and what the environment holds beside that of the product."""
SEVERAL = """
import contextlib, io, json, os, sys, traceback
from serving.cli import main

environment, results = dict(os.environ), []
for arguments, more in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(environment | more)
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.redirect_stderr(text):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = "Traceback"
            traceback.print_exc()
    results.append((code, text.getvalue()))
json.dump(results, sys.stdout)
"""
NOTEBOOK = """
import json, logging, sys
import mlflow

keys = json.load(sys.stdin)
for name in ("", "mlflow"):
    logging.getLogger(name).addHandler(logging.StreamHandler())
model = mlflow.pyfunc.load_model("models:/news_classifier@champion")

model.predict({"input": [], "custom_inputs": {"title": f"Predicted {keys['trace of predict']}"}})
articles = [{"id": keys["trace of predict_stream"], "title": "Streamed"}]
list(model.predict_stream({"input": [], "custom_inputs": {"articles": articles}}))
with mlflow.start_span("call") as span:
    bearer = {"Authorization": "Bearer " + keys["span's bearer"]}
    span.set_inputs({"extra_headers": bearer, "headers": {"x-api-key": keys["span's header"]}})
    span.set_attribute("raw_headers", [["authorization", keys["span's raw headers"]]])
    span.set_attribute("url", "https://user:" + keys["span's address"] + "@127.0.0.1/")
    span.set_attribute("note", "the token is " + keys["span's attribute"])
    span.set_attribute("mlflow.chat.messages", [{"role": "user", "content": keys["span's attribute of MLflow"]}])
    span.add_event(mlflow.entities.SpanEvent("said", attributes={"text": keys["span's event"]}))
    span.set_outputs(keys["span's output"])
try:
    with mlflow.start_span("failing"):
        raise RuntimeError("Incorrect API key provided: " + keys["span's exception"])
except RuntimeError:
    pass

log = logging.getLogger("library")
log.warning("the key " + keys["log message"])
log.warning("the key %s", keys["log argument"])
try:
    raise RuntimeError(f"Incorrect API key provided: {keys['log exception']}")
except RuntimeError:
    log.exception("the call failed")
logging.getLogger("mlflow.tracking").warning("the key %s", keys["log of MLflow"])
log.propagate = False  # so that it has no handler, as every logger in a program that never set logging up
log.warning("the key %s", keys["log without a handler"])
mlflow.flush_trace_async_logging()
"""
"""What somebody does in a process of their own: loads the model, asks it, makes spans and logs."""


def articles(keys: Mapping[str, str]) -> list[dict[str, object]]:
    texts = {
        "one": (f"Token {keys['title']} found", f"It reads {keys['content']}, they say."),
        "two": (f"Leak:\n{keys['title behind a line end']}", ""),
        "three": (f"Password {keys['title with a password of the environment']} guessed", ""),
        "twice": (f'Log: {{"said": "Look:\\n{keys["title behind an escaped line end"]}"}}', ""),
        **{name: ("The model says something", f"Case {name}") for name in ("4", "5", "6", "7", "8")},
    }
    labels = {"category": "Technology", "sentiment": "Negative"}
    return [{"id": name, "title": title, "content": content, **labels} for name, (title, content) in texts.items()]


def answers(keys: Mapping[str, str]) -> Callable[[str], tuple[str, str]]:
    said = {
        "Case 4": keys["answer"],
        "Case 5": f"Sports\n{keys['answer behind a line end']}",
        "Case 6": f"The key is {keys['answer with a key of the environment']}",
    }
    refused = {"Case 7": keys["provider's error"], "Case 8": keys["provider's error with a web token"]}

    def answer(prompt: str) -> tuple[str, str]:
        for case, key in refused.items():
            if case in prompt:
                raise Refused(400, f"Bad request near {key}")
        return next((text for case, text in said.items() if case in prompt), "Technology"), "Negative"

    return answer


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {place: make() for place, make in PLACES.items()}


@pytest.fixture(scope="module")
def evidence(keys: dict[str, str], _empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What is left behind when everything was done with keys everywhere."""
    with ExitStack() as stack:
        owners = ("environment", "secret scope", "config/.env", "Databricks token")
        servers = [stack.enter_context(LLMServer(keys[place])) for place in owners]
        service, scoped, claude, workspace = servers
        for server in servers:
            server.answers, server.models = answers(keys), MODELS
        workspace.secrets = {("news-classifier-secrets", "openai-api-key"): keys["secret scope"]}
        environment = {
            "OPENAI_API_KEY": keys["environment"],
            "OPENAI_BASE_URL": f"{service.url}/v1",
            "ANTHROPIC_BASE_URL": claude.url,
            "DATABRICKS_HOST": workspace.url,
            "DATABRICKS_TOKEN": keys["Databricks token"],
            "NEWS_CANARY_INNOCENT": keys["an innocent variable"],
            "ANSWERED_SECRET": keys["answer with a key of the environment"],
            "GOLD_SECRET": keys["gold label with a key of the environment"],
            "NOTED_PASSWORD": keys["agent's note with a password of the environment"],
            "TITLED_PASSWORD": keys["title with a password of the environment"],
        }
        products = [Product(tmp_path_factory.mktemp(name), _empty_store, environment) for name in ("main", "other")]
        for product in products:
            plant_files(product, keys)
        with ThreadPoolExecutor() as pool:
            work = [
                pool.submit(run_the_main_job, products[0], keys),
                pool.submit(run_all_else, products[1], keys, service.url, scoped.url),
            ]
        for done in work:
            done.result()
        sent = [request.headers.get("authorization", "") for server in servers for request in server.requests]
        return Evidence(
            texts={
                f"{product.folder.name}/{place}": text.lower()
                for product in products
                for place, text in product.written()
            },
            codes=products[0].codes | products[1].codes,
            used=frozenset(header.removeprefix("Bearer ") for header in sent),
        )


def plant_files(product: Product, keys: Mapping[str, str]) -> None:
    """Write what holds keys: `config/.env`, the data, and the address of a repository as GitLab's CI clones it."""
    product.plant("config/.env", f"ANTHROPIC_API_KEY={keys['config/.env']}\n")
    hostile = json.loads((ROOT / "data" / "hostile_news.jsonl").read_text(encoding="utf-8").splitlines()[0])
    hostile |= {"id": keys["hostile article's id"], "attack": keys["hostile article's attack"]}
    wrong = {"id": "1", "title": "A title", "category": keys["gold label with a key of the environment"]}
    for name, rows in (("planted", articles(keys)), ("hostile", [hostile]), ("wrong", [wrong])):
        write_jsonl(product.folder / product.plant(f"data/{name}.jsonl", ""), rows)
    remote = f"https://gitlab-ci-token:{keys['remote of git']}@127.0.0.1/news.git"
    me = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["remote", "add", "origin", remote], [*me, "commit", "-qm", "1", "--allow-empty"]):
        subprocess.run(["git", *words], check=True, cwd=product.folder)


def run_the_main_job(product: Product, keys: Mapping[str, str]) -> None:
    """Evaluate and register, classify a file, serve, and load the model elsewhere."""
    command, tag = ("-m", "serving.cli"), f"ticket={keys['tag']}"
    product.python("run", *command, "run", "--provider", "openai", "--data", PLANTED, "--tag", tag)
    store = product.environment["MLFLOW_TRACKING_URI"]
    registry = MlflowClient(tracking_uri=store, registry_uri=store)  # another test may have set this process's own
    registry.set_registered_model_alias("news_classifier", "champion", "1")
    product.python("classify", *command, "classify", PLANTED, "-o", "answers.jsonl")
    wrong = {"OPENAI_API_KEY": keys["wrong key of the served model"]}
    traced = {"MLFLOW_TRACE_SAMPLING_RATIO": "1", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false"}
    with product.service("serve", "/ping", *command, "serve", "local", "--port", **wrong, **traced) as url:
        article = {"title": "Served " + keys["request's title"]}
        product.outputs["answer over HTTP"] = post(f"{url}/invocations", {"input": [], "custom_inputs": article})
        for body in (  # what comes back is the sender's own, but others read the log
            {"input": [], "custom_inputs": {"articles": [article | {"id": keys["request's id"]}]}},
            {"input": [], "custom_inputs": {"articles": keys["request that is no list"]}},
            {"input": [], "custom_inputs": {keys["request's unknown field"]: 1}},
            {"input": keys["request that is no message"]},
        ):
            post(f"{url}/invocations?key=" + keys["request's query"], body)
    product.python("notebook", "-c", NOTEBOOK, given=keys)


def run_all_else(product: Product, keys: Mapping[str, str], service: str, scoped: str) -> None:
    """Run `mlflow run`, and every command that is quick."""
    words = ["run", ".", "--env-manager", "local", "-e", "track_a_external", "-P", f"data={PLANTED}"]
    server = ["mlflow", "server", "--workers", "1", "--backend-store-uri", f"sqlite:///{product.folder}/server.db"]
    artifacts = ["--artifacts-destination", str(product.folder / "artifacts"), "--port"]
    alone = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # without the processes that it starts for its jobs
    with product.service("tracking server", "/health", "-m", *server, *artifacts, **alone) as tracking:
        wrong = {"OPENAI_API_KEY": keys["wrong key under mlflow run"]}
        product.python("mlflow run", "-m", "mlflow", *words, **wrong)
        product.several(quick_commands(keys, service, scoped, tracking) | refused_commands(product, keys))


def quick_commands(keys: Mapping[str, str], service: str, scoped: str, tracking: str) -> dict[str, Command]:
    def key(place: str, more: str = "") -> dict[str, str]:
        return {"OPENAI_API_KEY": f"{keys[place]}{more}"}

    def address(of: str, place: str) -> str:
        return of.replace("://", f"://user:{keys[place]}@")

    ask = ["eval", "redteam", "--data", "data/hostile.jsonl", "--provider"]
    query = f"{service}/v1?api_key=" + keys["service's query"]
    return {
        "redteam": ([*ask, "anthropic"], {}),
        "redteam, key of the scope": ([*ask, "openai", "--use-secrets", "--json"], {"OPENAI_BASE_URL": f"{scoped}/v1"}),
        "redteam, wrong key of the scope": ([*ask, "openai", "--use-secrets"], {}),
        "redteam, web token": ([*ask, "openai"], key("wrong web token")),
        "redteam, opaque token": ([*ask, "openai"], key("wrong opaque token")),
        "redteam, space": ([*ask, "openai"], key("wrong key with a space behind it", " ")),
        "redteam, line end": ([*ask, "openai"], key("wrong key with a line end", "\n")),
        "redteam, tracking server": ([*ask, "openai"], {"MLFLOW_TRACKING_URI": address(tracking, "tracking server")}),
        "eval run, wrong label": (["eval", "run", "--provider", "openai", "--data", "data/wrong.jsonl"], {}),
        "doctor": (["doctor"], {}),
        "doctor --json": (["doctor", "--json"], key("wrong key")),
        "doctor, password": (["doctor"], {"OPENAI_BASE_URL": f"{address(service, 'service')}/v1"}),
        "doctor, query": (["doctor", "--provider", "openai"], {"OPENAI_BASE_URL": query}),
        "doctor, proxy": (["doctor", "--provider", "openai"], {"http_proxy": address("http://127.0.0.1:1", "proxy")}),
        "models": (["models"], key("wrong key")),
        "models --json": (["models", "--provider", "openai", "--json"], {}),
        "models, password": (["models"], {"OPENAI_BASE_URL": f"{address(service, 'service')}/v1"}),
        "status": (["registry", "status"], {}),
    }


def refused_commands(product: Product, keys: Mapping[str, str]) -> dict[str, Command]:
    """A command for each place in which the product should not take a key at all."""
    shipped = product.folder / "config"
    settings = {place: change(keys[place]) for place, (_, change) in AGENTS.items()}
    for number, (place, (_, setting, name, before)) in enumerate(FILES.items()):
        text = (shipped / name).read_text(encoding="utf-8")
        planted = product.plant(
            f"config/planted/file-{number}.yaml", text.replace(before, f"{before} {keys[place]}", 1)
        )
        settings[place] = {setting: Path(planted).name}
    agent = yaml.safe_load((shipped / "agents" / "external-openai.yaml").read_text(encoding="utf-8"))
    commands: dict[str, Command] = {}
    for number, (place, change) in enumerate(settings.items()):
        name = product.plant(f"config/planted/{number}.yaml", yaml.safe_dump(agent | change))
        commands[place] = (["eval", "redteam", "--data", "data/hostile.jsonl", "--agent", name], {})
    commands |= {place: (arguments(keys[place]), {}) for place, (_, arguments) in OPTIONS.items()}
    stores = {place: address.format(keys[place]) for place, (_, address) in STORES.items()}
    return commands | {
        place: (["registry", "status"], {"MLFLOW_TRACKING_URI": address}) for place, address in stores.items()
    }


def wait_for(url: str, running: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if running.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the service did not start")


def post(url: str, body: object) -> str:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as err:
        return err.read().decode()


# What must be true afterwards.

SENT = (
    *("environment", "config/.env", "Databricks token", "secret scope", "wrong key", "wrong web token"),
    *("wrong opaque token", "wrong key under mlflow run", "wrong key of the served model"),
)
QUOTED = "incorrect api key provided: [redacted]"
WITNESSES: Sequence[tuple[str, str]] = (
    ("artifacts/predictions.csv", "token [redacted] found"),
    ("artifacts/predictions.json", "token [redacted] found"),
    ("artifacts/predictions.json", "bad request near [redacted]"),
    ("artifacts/predictions.json", '"unknown_reason": "\'[redacted]'),
    ("artifacts/redteam.csv", "clean_category"),
    ("artifacts/code/agent/redaction.py", "secret_like"),
    ("artifacts/mlmodel", "news-classifier-zero-shot"),
    ("/mlflow.db", "insert into \"tags\" values('ticket'"),
    ("/mlflow.db", "predicted [redacted]"),
    ("/mlflow.db", "served [redacted]"),
    ("/mlflow.db", "https://[redacted]@127.0.0.1/"),
    ("/answers.jsonl", "bad request near [redacted]"),
    ("/serve.log", "post /invocations"),
    ("/output of answer over http", QUOTED),
    ("/output of notebook", "the key [redacted]"),
    ("/output of notebook", f"runtimeerror: {QUOTED}"),
    ("/output of mlflow run", QUOTED),
    ("/output of redteam, wrong key of the scope", QUOTED),
    ("/output of redteam, web token", QUOTED),
    ("/output of doctor", "openai key "),
    ("/output of doctor --json", QUOTED),
    ("/output of models", QUOTED),
    ("/output of models --json", "gpt-4o-mini"),
    ("/output of store", "://[redacted]@127.0.0.1"),
)
"""Where something must stand that shows that the keys came by, in small letters."""
ENDS: Mapping[str, object] = {
    "run": 1,  # the gates said no
    "classify": 2,
    "notebook": 0,
    "mlflow run": 1,
    "redteam": 0,
    "redteam, key of the scope": 0,
    "redteam, wrong key of the scope": 3,
    "redteam, web token": 3,
    "redteam, opaque token": 3,
    "redteam, space": 3,
    "redteam, line end": 3,
    "redteam, tracking server": 0,
    "eval run, wrong label": 2,
    "doctor": 0,
    "doctor --json": 1,
    "doctor, password": 0,
    "doctor, proxy": 1,
    "models": 3,
    "models --json": 0,
    "models, password": 0,
    "status": 0,
}


@pytest.mark.parametrize("place", list(PLACES))
def test_a_key_is_nowhere_in_what_was_written(evidence: Evidence, keys: dict[str, str], place: str) -> None:
    assert evidence.places_of(keys[place]) == []


@pytest.mark.parametrize("place", list(REFUSED))
def test_what_holds_a_key_is_refused(evidence: Evidence, place: str) -> None:
    assert evidence.codes[place] == 2


@pytest.mark.parametrize("place", SENT)
def test_the_key_was_really_used(evidence: Evidence, keys: dict[str, str], place: str) -> None:
    assert keys[place] in evidence.used


@pytest.mark.parametrize(("place", "text"), WITNESSES)
def test_what_should_be_written_was_written(evidence: Evidence, place: str, text: str) -> None:
    found = [content for name, content in evidence.texts.items() if place in name.lower()]
    assert any(text.encode() in content for content in found)


def test_every_command_ended_as_it_should(evidence: Evidence) -> None:
    assert {name: evidence.codes[name] for name in ENDS} == ENDS


@pytest.mark.parametrize("make", [openai, anthropic, databricks, web_token, shapeless, opaque_token, password])
def test_the_search_finds_a_key_in_every_form(make: Maker) -> None:
    key = make()
    beginning = key[: len(key) - 40] if len(key) > 100 else key
    forms = [
        key,
        beginning,
        key.upper(),
        f"%22{quote(key)}%22",
        *(in_base64(f"{before}{key}.") for before in ("", "a", "ab")),
    ]
    for form in forms:
        text = f"before{form}after".lower().encode()
        assert Evidence({"here": text, "there": b"nothing"}, {}, frozenset()).places_of(key) == ["here"], form
    assert Evidence({"here": f"before{make()}after".lower().encode()}, {}, frozenset()).places_of(key) == []
