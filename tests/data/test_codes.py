"""What the codes of findings mean."""

from __future__ import annotations

from cspdet.data.codes import EXPLANATIONS
from tests.data import test_class_doctor, test_doctor


def test_every_code_has_a_case_and_an_explanation() -> None:
    cases = [*test_doctor.CASES.values(), *test_class_doctor.CASES.values()]
    covered = {code for case in cases for _, code, _, _ in case.expected}
    assert covered == EXPLANATIONS.keys()
    assert all(text.endswith(".") for text in EXPLANATIONS.values())
