from registry.gates.label_flip_rate import LabelFlipRateRule, label_flip_rate
from tests.registry.gates.cases import case
from tests.registry.gates.ceilings import check_ceiling, check_upper_end


def test_it_must_not_exceed_its_ceiling() -> None:
    check_ceiling(label_flip_rate, LabelFlipRateRule, "label_flip_rate", "compared")
    check_upper_end(label_flip_rate, LabelFlipRateRule, "label_flip_rate")


def test_the_articles_of_the_evaluation_are_not_those_that_were_attacked() -> None:
    rule = LabelFlipRateRule(at_most=0.1, min_rows=50)
    assert not label_flip_rate(rule, case({"label_flip_rate": 0.0, "articles": 400, "compared": 20})).passed
