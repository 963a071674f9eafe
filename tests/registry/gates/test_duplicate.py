from registry.gates.duplicate import DuplicateRule, is_duplicate

RULE = DuplicateRule()
MINE = {
    "category_accuracy": 0.9,
    "category_macro_f1": 0.9,
    "sentiment_accuracy": 0.8,
    "latency_ms_p95": 10.0,
    "cost_usd_per_1k": 1.0,
}


def test_identical_figures_are_a_duplicate_unless_clearly_cheaper_or_faster() -> None:
    assert is_duplicate(RULE, MINE, MINE)
    assert is_duplicate(RULE, MINE | {"category_accuracy": 0.901}, MINE)
    assert not is_duplicate(RULE, MINE | {"category_accuracy": 0.902}, MINE)
    assert not is_duplicate(RULE, MINE | {"sentiment_accuracy": 0.9}, MINE)
    assert not is_duplicate(RULE, MINE | {"latency_ms_p95": 4.0}, MINE)
    assert not is_duplicate(RULE, MINE | {"cost_usd_per_1k": 0.4}, MINE)
    assert is_duplicate(RULE, MINE | {"latency_ms_p95": 6.0}, MINE)


def test_a_difference_of_exactly_the_limit_is_none_whatever_floating_point_says() -> None:
    for thousandths in range(1000):
        mine = MINE | {"category_accuracy": thousandths / 1000}
        assert is_duplicate(RULE, mine | {"category_accuracy": (thousandths + 1) / 1000}, mine)
        assert not is_duplicate(RULE, mine | {"category_accuracy": (thousandths + 2) / 1000}, mine)


def test_a_figure_that_only_one_has_or_that_is_no_number_is_like_no_other() -> None:
    for name in ("category_accuracy", "category_macro_f1", "sentiment_accuracy"):
        without = {key: value for key, value in MINE.items() if key != name}
        assert not is_duplicate(RULE, without, MINE)
        assert not is_duplicate(RULE, MINE, without)
        assert is_duplicate(RULE, without, without)
        broken = MINE | {name: float("nan")}
        assert not is_duplicate(RULE, broken, broken)
