"""What the engine is sent: the version, the code that it needs and nothing else."""

import ast
import io
import sys
import tarfile
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from agent.errors import ConfigError, DeploymentError
from serving.app.settings import SETTINGS_FILE, load_settings
from serving.app.versions import version_in
from serving.docker.code import SOURCES, code_files
from serving.docker.container import USER
from serving.docker.context import FOLDER, check_requirements, differences, pins, write_context
from serving.docker.healthcheck import PORT
from tests.conftest import ROOT

CODE = {".py", ".pyc"}
REGISTERED = {"name": "news_classifier", "version": "1"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("agent", "eval", "registry", "serving", "training", include_external_packages=True)


def shipped(graph: grimp.ImportGraph) -> set[str]:
    """Our modules that an image holds."""
    files = [path.relative_to(SOURCES) for path in code_files() if path.suffix == ".py"]
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    return names & graph.modules


def packed(model: Path, settings: Path) -> tarfile.TarFile:
    file = io.BytesIO()
    write_context(file, model, REGISTERED, settings)
    file.seek(0)
    return tarfile.open(fileobj=file)


def test_the_server_imports_nothing_of_ours_that_is_not_in_the_image(graph: grimp.ImportGraph) -> None:
    modules = shipped(graph)
    assert {"serving.app.worker", "agent.model", "agent.providers.openai", "serving.docker.healthcheck"} <= modules
    assert not modules & {"serving.app.watcher", "serving.predictions.parquet_sink", "serving.app.control_commands"}
    packages = {"agent", "eval", "registry", "serving", "training"}
    for module in modules:
        ours = {one for one in graph.find_modules_directly_imported_by(module) if one.partition(".")[0] in packages}
        assert ours <= modules, module


def test_everything_else_that_it_imports_is_among_the_pinned_requirements(graph: grimp.ImportGraph) -> None:
    installed = pins(FOLDER / "requirements.txt")
    distributions = packages_distributions()
    for module in shipped(graph):
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.partition(".")[0] in {"agent", "serving", *sys.stdlib_module_names}:
                continue
            names = {name.lower().replace("_", "-") for name in distributions[imported.partition(".")[0]]}
            assert names & installed.keys(), f"{module} imports {imported}"


def test_what_modules_read_besides_is_in_the_image() -> None:
    shipped_files = {*code_files()}
    folders = {path.parent for path in shipped_files if path.name == "__init__.py"} - {FOLDER, SOURCES / "serving"}
    beside = {path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix not in CODE}
    assert beside <= shipped_files
    assert SOURCES / "serving" / "app" / "templates" / "docs.html" in shipped_files


def test_the_image_has_the_versions_that_everything_is_tested_with() -> None:
    tested, installed = pins(ROOT / "requirements.txt"), pins(FOLDER / "requirements.txt")
    assert {name: versions for name, versions in installed.items() if not versions <= tested[name]} == {}


def test_the_health_check_imports_the_standard_library_alone() -> None:
    tree = ast.parse((FOLDER / "healthcheck.py").read_text(encoding="utf-8"))
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert imported <= sys.stdlib_module_names
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def test_a_context_holds_the_version_the_code_and_settings_without_keys(champion: Path, tmp_path: Path) -> None:
    settings = tmp_path / "serving.yaml"
    settings.write_text("docs: false\napi_keys:\n  - {name: ann, sha256: " + "ab" * 32 + "}\n", encoding="utf-8")
    with packed(champion, settings) as tar:
        names = tar.getnames()
        assert {"Dockerfile", "requirements.txt", "model/MLmodel", "model/code/agent/model.py"} <= {*names}
        assert {"app/agent/model.py", "app/serving/docker/healthcheck.py"} <= {*names}
        assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
        assert not [name for name in names if name.startswith(("app/eval", "app/registry", "app/serving/databricks"))]
        assert {entry.mode for entry in tar} == {0o644}
        assert {(entry.uid, entry.uname, entry.mtime) for entry in tar} == {(0, "", 0)}
        file = tar.extractfile("app/config/serving.yaml")
        assert file
        assert file.read() == b"docs: false\n"
        tar.extractall(tmp_path / "context")
    assert version_in(tmp_path / "context" / "model").number == "1"
    found = load_settings(tmp_path / "context" / "app" / "config" / "serving.yaml")
    assert (found.docs, found.api_keys) == (False, ())


@pytest.mark.parametrize("sink", ["parquet", "mlflow"])
def test_settings_that_need_what_the_image_lacks_are_refused(champion: Path, tmp_path: Path, sink: str) -> None:
    settings = tmp_path / "serving.yaml"
    settings.write_text(f"predictions: {{sink: {sink}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"the image has no package for predictions.sink '{sink}'. Choose one of"):
        packed(champion, settings)


def test_the_same_version_makes_the_same_bytes(champion: Path) -> None:
    one, other = io.BytesIO(), io.BytesIO()
    write_context(one, champion, REGISTERED, SETTINGS_FILE)
    write_context(other, champion, REGISTERED, SETTINGS_FILE)
    assert one.getvalue() == other.getvalue()


def test_the_dockerfile_ends_without_root_and_without_build_tools() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    final = text[text.rindex("\nFROM ") :]
    assert f"\nUSER {USER}:{USER}\n" in final
    assert f"--uid {USER}" in final
    assert "\nHEALTHCHECK " in final
    assert f'"--port", "{PORT}"' in final
    assert f"\nEXPOSE {PORT}\n" in final
    assert "pip" not in final.partition("COPY --from=packages")[2]
    assert "--require-hashes" in text
    for word in ("http:", "https:", "index-url", "trusted-host", "cert"):
        assert word not in text


def test_a_version_whose_packages_are_not_in_the_image_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("mlflow==3.17.2\npyspark==4.3.0", encoding="utf-8")
    with pytest.raises(DeploymentError, match=r"Version 7 needs pyspark, which the image does not have\. Add it to"):
        check_requirements("7", tmp_path)


def test_other_versions_of_packages_are_told() -> None:
    found = differences(
        {"mlflow": {"3.17.2"}, "numpy": {"2.4.6"}, "scipy": {"1.0"}},
        {"mlflow-skinny": {"3.17.2"}, "numpy": {"2.4.6", "2.5.5"}, "scipy": {"1.17.1", "1.18.1"}},
    )
    assert found == ((), ("scipy 1.0, the image has 1.17.1 or 1.18.1",))


def test_what_the_local_model_needs_is_in_the_image(champion: Path) -> None:
    assert check_requirements("1", champion) == ()
