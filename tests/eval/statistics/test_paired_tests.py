import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from eval.statistics.paired_tests import holm, mcnemar, sign_flip


def test_mcnemar_of_a_published_example() -> None:
    """Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, 2017, chapter 8 (Cavo et al. 2012)."""
    assert float(mcnemar(6, 16)) == pytest.approx(0.052479, abs=5e-7)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_that_of_scipy_and_statsmodels(first: int, second: int) -> None:
    found = float(mcnemar(first, second))
    assert found == pytest.approx(reference_mcnemar([[0, first], [second, 0]], exact=True).pvalue, abs=1e-9)
    if first + second:
        assert found == pytest.approx(binomtest(first, first + second).pvalue, abs=1e-9)
    assert found == float(mcnemar(second, first))


@settings(max_examples=50)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=9))
def test_sign_flip_is_scipys_enumeration_of_all_swaps(sums: list[int]) -> None:
    expected = permutation_test(
        (np.array(sums, dtype=float), np.zeros(len(sums))),
        lambda first, second, axis: np.abs((first - second).sum(axis=axis)),
        permutation_type="samples",
        vectorized=True,
        alternative="greater",
        n_resamples=np.inf,
    )
    assert sign_flip(np.array(sums)) == pytest.approx(expected.pvalue, abs=1e-9)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 9))
def test_sign_flip_of_single_articles_is_mcnemar(first: int, second: int, neither: int) -> None:
    sums = np.repeat([-1, 1, 0], [first, second, neither])
    assert sign_flip(sums) == pytest.approx(float(mcnemar(first, second)), abs=1e-9)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-9)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == []
