"""Broken and odd data come to what the table says; neighbours, input and finished results stay as they are."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.corpus.datasets import Datasets
from tests.corpus.forks import preload
from tests.corpus.runner import Running
from tests.corpus.table import CASES, FAST

if TYPE_CHECKING:
    from tests.corpus.case import Case


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Datasets:
    preload()
    return Datasets(tmp_path_factory.mktemp("corpus"))


def test_no_case_is_there_twice() -> None:
    assert [case for case, n in Counter(map(str, CASES)).items() if n > 1] == []


def test_every_case_of_the_default_tests_is_there() -> None:
    assert set(map(str, CASES)) >= FAST


def _holds(case: Case, datasets: Datasets) -> None:
    running = Running(case, datasets)
    while (verdict := running.verdict()) is None:
        time.sleep(0.02)
    assert verdict.complaints == (), verdict.ran.said


@pytest.mark.parametrize("case", [case for case in CASES if str(case) in FAST], ids=str)
def test_a_case_comes_to_what_the_table_says(case: Case, datasets: Datasets) -> None:
    _holds(case, datasets)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if str(case) not in FAST], ids=str)
def test_a_further_case_comes_to_what_the_table_says(case: Case, datasets: Datasets) -> None:
    _holds(case, datasets)
