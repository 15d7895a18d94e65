"""Every recorded number in the repository holds: the same runner that `python -m tests.parity` is."""

from pathlib import Path

import pytest

from tests.parity import __main__ as runner
from tests.parity.report import Check, close

GOLDEN = Path(__file__).parent / "golden"
CASES = list(runner.find_cases(GOLDEN))


@pytest.mark.parametrize(("kind", "folder"), CASES, ids=[str(folder.relative_to(GOLDEN)) for _, folder in CASES])
def test_every_recorded_number_holds(kind: str, folder: Path) -> None:
    checks = runner.run_case(kind, folder)
    assert checks, f"no check ran for {folder}"
    assert [check for check in checks if not check.holds] == []


def test_every_kind_has_golden_cases() -> None:
    assert {kind for kind, _ in CASES} >= {"vqvae", "ops", "text", "checkpoints", "manifest", "attention", "prior"}


def test_a_wrong_number_fails_its_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The runner can fail: a case with one altered number exits with 1 and names it."""
    import json
    import shutil

    shutil.copytree(GOLDEN / "text", tmp_path / "text")
    starts = json.loads((tmp_path / "text" / "get_starts.json").read_text())
    starts[1]["starts"][-1] += 1
    (tmp_path / "text" / "get_starts.json").write_text(json.dumps(starts))
    assert runner.main([str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "FALLS SHORT" in output
    assert "0 passed, 1 failed" in output


def test_nothing_to_run_is_a_failure(tmp_path: Path) -> None:
    assert runner.main([str(tmp_path)]) == 1


def test_errors_are_scaled_to_the_tolerance() -> None:
    import torch

    check = close("x", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.02]), absolute=1e-2, relative=1e-2)
    assert check == Check(name="x", error=pytest.approx(0.02 / 0.0302 * 1e-2, rel=1e-3), tolerance=1e-2)
    assert not close("x", torch.tensor([float("nan")]), torch.tensor([0.0]), absolute=1.0).holds
    assert not close("x", torch.tensor([0.0]), torch.tensor([float("inf")]), absolute=1.0).holds
    assert close("x", torch.tensor([float("-inf")]), torch.tensor([float("-inf")]), absolute=1.0).holds
