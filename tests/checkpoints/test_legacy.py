"""What PyTorch wrote in 2020 is read as PyTorch reads it, but mapped; nothing else is read here."""

import pickle
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_flatten

from jukebox.checkpoints import legacy, openai
from jukebox.errors import CheckpointError
from tests.checkpoints import cases

OLD = [name for name in cases.NAMES if name != "vqvae_zip_format"]


def saved(path: Path, content: object) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("name", OLD)
def test_recorded_files_are_read_as_by_pytorch(name: str) -> None:
    path = cases.golden_path(name)
    found, expected = legacy.read(path), torch.load(path, map_location="cpu", weights_only=True)
    assert found["model"].keys() == expected["model"].keys()
    (ours, structure), (theirs, same) = tree_flatten(found), tree_flatten(expected)
    assert structure == same
    for mine, other in zip(ours, theirs, strict=True):
        if isinstance(other, torch.Tensor):
            assert mine.dtype == other.dtype
            assert mine.equal(other)
        else:
            assert mine == other


def test_every_type_and_view(tmp_path: Path) -> None:
    """Large and small, shared, transposed, strided, empty; the former lie in the file."""
    whole = torch.arange(300 * 301, dtype=torch.float32).view(300, 301)
    content = {
        "large": whole, "turned": whole.t(), "part": whole[3:200:2, 5], "half": whole.half(), "nothing": whole[:0],
        "small": {f"{dtype}": torch.arange(5).to(dtype) for dtype in legacy._TYPES.values()},
        "plain": [1, 2.5, None, "text", (True, torch.ones(2))],
    }  # fmt: skip
    path = saved(tmp_path / "file", content)
    found = legacy.read(path)
    for name in ("large", "turned", "part", "half", "nothing"):
        assert found[name].dtype == content[name].dtype
        assert found[name].equal(content[name])
    assert found["large"].untyped_storage().data_ptr() == found["turned"].untyped_storage().data_ptr()
    for name, tensor in content["small"].items():
        assert found["small"][name].equal(tensor)
    assert found["plain"][:4] == content["plain"][:4]
    assert found["plain"][4][1].equal(torch.ones(2))
    if (maps := Path("/proc/self/maps")).exists():
        assert str(path) in maps.read_text()
        # What is computed with it is what an aligned copy gives.
        x = torch.randn(8, 301)
        assert torch.equal(x @ found["large"].T, x @ found["large"].clone().T)
        assert torch.equal(found["half"].float(), whole.half().float())
        del found, name
        assert str(path) not in maps.read_text()


class Trap:
    """Would run when it is unpickled."""

    def __reduce__(self):
        return print, ("it runs",)


def test_everything_else_is_left_to_pytorch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zip files, other pickles, files that are cut off anywhere, and those that ask for code, which does not run."""
    assert legacy.read(cases.golden_path("vqvae_zip_format")) is None
    (tmp_path / "pickle").write_bytes(pickle.dumps({"model": {}}))
    assert legacy.read(tmp_path / "pickle") is None
    for content in (
        {"model": {}, "trap": Trap()},
        {"model": {}, "type": Path},
        {"model": {"weight": torch.nn.Linear(1, 1)}},
    ):
        assert legacy.read(saved(tmp_path / "trap", content)) is None
        with pytest.raises(CheckpointError, match="it was refused and nothing in it was executed"):
            openai.load_dictionary(tmp_path / "trap")
    whole = saved(tmp_path / "whole", {"model": {"weight": torch.randn(200, 200)}}).read_bytes()
    assert legacy.read(tmp_path / "whole") is not None
    for size in (0, 1, 30, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:size])
        assert legacy.read(tmp_path / "cut") is None
        with pytest.raises(CheckpointError, match="is damaged"):
            openai.load_dictionary(tmp_path / "cut")
    assert "it runs" not in capsys.readouterr().out
