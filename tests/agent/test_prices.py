from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.config import AgentConfig
from agent.errors import ConfigError
from agent.prices import Price, PriceTable, Usage
from agent.settings import read_settings
from agent.wires.anthropic_messages import AnthropicMessages
from agent.wires.openai_chat import OpenAIChat
from tests.conftest import ROOT

TABLE = read_settings(ROOT / "config" / "prices.yaml", PriceTable)
PRICE = Price(provider="p", model="m", input=2, output=8, cached_input=0.5, cache_write_input=2.5)
COUNTS = st.integers(0, 10**7)
USAGES = st.builds(lambda plain, out, read, written: Usage(plain + read + written, out, read, written), *[COUNTS] * 4)
REPORTED = st.one_of(st.integers(-10, 10**6), st.none(), st.floats(allow_nan=True), st.text(max_size=2))


def test_each_kind_of_token_has_its_own_price() -> None:
    assert PRICE.cost_usd(Usage(1000, 100, 600, 300)) == pytest.approx(
        (100 * 2 + 600 * 0.5 + 300 * 2.5 + 100 * 8) / 1e6
    )
    plain = Price(provider="p", model="m", input=2, output=8)
    assert plain.cost_usd(Usage(1000, 100, 600, 300)) == pytest.approx((1000 * 2 + 100 * 8) / 1e6)


@given(USAGES, st.integers(1, 50))
def test_cost_is_linear_and_never_negative(usage: Usage, times: int) -> None:
    cost = PRICE.cost_usd(usage)
    assert cost >= 0
    assert PRICE.cost_usd(Usage(*(times * count for count in usage))) == pytest.approx(times * cost)


@given(USAGES)
def test_the_bound_of_a_call_is_never_exceeded(usage: Usage) -> None:
    assert PRICE.cost_usd(usage) <= PRICE.cost_usd_at_most(usage.input_tokens, usage.output_tokens) * (1 + 1e-9)


@given(REPORTED, REPORTED, REPORTED, REPORTED)
@example(10, 1, 1000, 0)  # a gateway that counts cached tokens beside the others
def test_no_report_of_openais_wire_makes_a_cost_negative(
    read: object, written: object, cached: object, created: object
) -> None:
    details = {"cached_tokens": cached, "cache_write_tokens": created}
    usage = {"prompt_tokens": read, "completion_tokens": written, "prompt_tokens_details": details}
    reply = OpenAIChat().reply({"choices": [{"message": {"content": ""}}], "usage": usage})
    assert reply.usage is None or PRICE.cost_usd(reply.usage) >= 0


@given(REPORTED, REPORTED, REPORTED, REPORTED)
def test_no_report_of_anthropics_wire_makes_a_cost_negative(
    read: object, written: object, cached: object, created: object
) -> None:
    usage = {"input_tokens": read, "output_tokens": written}
    usage |= {"cache_read_input_tokens": cached, "cache_creation_input_tokens": created}
    reply = AnthropicMessages().reply({"content": [], "usage": usage})
    assert reply.usage is None or PRICE.cost_usd(reply.usage) >= 0


def test_a_price_carries_where_and_when_it_was_looked_up() -> None:
    own = Price(provider="p", model="own", input=1, output=1, as_of=date(2026, 1, 2), source="an offer")
    table = PriceTable(currency="USD", as_of=date(2026, 10, 6), source="a list", prices=(PRICE, own))
    assert table.of("p", "unheard of") is None
    shared, kept = table.of("p", "m"), table.of("p", "own")
    assert shared
    assert kept
    assert (shared.as_of, shared.source) == (date(2026, 10, 6), "a list")
    assert (kept.as_of, kept.source) == (date(2026, 1, 2), "an offer")


def test_every_llm_candidate_has_a_price_and_no_price_stands_twice() -> None:
    configs = [AgentConfig.from_file(path) for path in sorted((ROOT / "config" / "agents").glob("*.yaml"))]
    assert [config.name for config in configs if config.provider != "sklearn" and config.price is None] == []
    names = [(price.provider, price.model) for price in TABLE.prices]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("wrong", [{"input": -1}, {"currency": "EUR"}, {"cached": 1}])
def test_a_price_that_is_wrong_is_refused(wrong: dict[str, object]) -> None:
    content = TABLE.model_dump()
    place = content if "currency" in wrong else content["prices"][0]
    place |= wrong
    with pytest.raises(ValidationError):
        PriceTable.model_validate(content)


def test_a_price_table_that_is_missing_is_named() -> None:
    settings = {"name": "x", "provider": "openai", "model": "m", "track": "external", "labels": "../labels.yaml"}
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        AgentConfig.from_settings(settings | {"prices": "nowhere.yaml"}, ROOT / "config" / "agents" / "x.yaml")
