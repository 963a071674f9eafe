import os

import pytest

from agent.errors import ConfigError
from eval.secret_scope import SCOPE, use_secrets
from tests.llm_server import Behaviour, LLMServer

KEY_OF_THE_SCOPE = f"sk-{'scope' * 5}"


def test_the_key_of_the_scope_takes_the_place_of_the_environments(llm: LLMServer) -> None:
    llm.secrets[(SCOPE, "openai-api-key")] = KEY_OF_THE_SCOPE
    use_secrets("openai")
    assert os.environ["OPENAI_API_KEY"] == KEY_OF_THE_SCOPE


def test_a_scope_that_cannot_be_read_never_falls_back(llm: LLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="anthropic-api-key"):
        use_secrets("anthropic")
    llm.elsewhere = Behaviour(status=403)
    with pytest.raises(ConfigError, match="permission READ"):
        use_secrets("openai")


def test_tracks_that_need_no_key_ask_nobody(llm: LLMServer) -> None:
    use_secrets("sklearn")
    use_secrets("databricks")
    assert not llm.requests
