"""Names of articles: the same for the same text and key, and telling nobody anything without the key."""

import hmac
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError
from agent.records import Article
from serving.predictions.article_key import ArticleKey

VARIABLE = "NEWS_CLASSIFIER_HASH_KEY"
ARTICLE = Article(title="Title", content="Content", id="7")
MAKER = """
import sys
from pathlib import Path
from agent.records import Article
from serving.predictions.article_key import ArticleKey

sys.stdin.read(1)
print(ArticleKey(Path(sys.argv[1])).hash(Article(title="Title", content="Content")))
"""


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = ArticleKey(tmp_path / "state")
    [path] = (tmp_path / "state").iterdir()
    assert (path.name, stat.S_IMODE(path.stat().st_mode), len(path.read_text())) == ("hash.key", 0o600, 65)
    assert ArticleKey(tmp_path / "state").hash(ARTICLE) == first.hash(ARTICLE)
    assert ArticleKey(tmp_path / "other").hash(ARTICLE) != first.hash(ARTICLE)


def test_the_hash_is_that_of_the_text_under_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "a secret of twenty-two")
    key = ArticleKey(tmp_path / "state")
    expected = hmac.new(b"a secret of twenty-two", ARTICLE.hash.encode(), "sha256").hexdigest()[:32]
    assert key.hash(ARTICLE) == key.hash(ARTICLE.model_copy(update={"id": "8"})) == expected
    assert not (tmp_path / "state").exists()


@given(*[st.text()] * 4)
def test_different_texts_have_different_hashes(title: str, content: str, other_title: str, other_content: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "a secret of twenty-two")
        key = ArticleKey(Path("nowhere"))
    one, other = Article(title=title, content=content), Article(title=other_title, content=other_content)
    same = f"{title}\0{content}" == f"{other_title}\0{other_content}"
    assert (key.hash(one) == key.hash(other)) == same


def test_servers_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    words = [sys.executable, "-c", MAKER, str(tmp_path)]
    makers = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {maker.communicate("\n", timeout=30)[0] for maker in makers}
    assert said == {f"{ArticleKey(tmp_path).hash(ARTICLE)}\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["hash.key"]


def test_a_key_that_is_too_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hash.key").write_text("\n")
    with pytest.raises(ConfigError, match="hash.key has 0 characters; at least 16 are needed"):
        ArticleKey(tmp_path)
    monkeypatch.setenv(VARIABLE, "short")
    with pytest.raises(ConfigError, match=f"{VARIABLE} has 5 characters"):
        ArticleKey(tmp_path)


def test_a_key_that_must_not_be_made_or_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hash.key' that articles are named by cannot be read or made"):
        ArticleKey(tmp_path, make=False)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Give a state folder"):
        ArticleKey(tmp_path / "file")
