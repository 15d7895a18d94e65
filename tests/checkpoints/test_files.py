import pytest

from jukebox.checkpoints import files
from jukebox.errors import CheckpointError


def interrupted(replacing, path):
    """Stopped half-way through writing."""
    with replacing(path) as temporary:
        (temporary / "a" if temporary.is_dir() else temporary).write_text("half")
        raise KeyboardInterrupt


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file"
    with files.replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_leaves_what_was_there(existed, tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    if existed:
        file.write_text("old")
        folder.mkdir()
        (folder / "a").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    for replacing, path in ((files.replacing, file), (files.replacing_folder, folder)):
        with pytest.raises(KeyboardInterrupt):
            interrupted(replacing, path)
    assert sorted(tmp_path.rglob("*")) == before
    assert not existed or (folder / "a").read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "only in the old one").touch()
    with files.replacing_folder(folder) as temporary:
        (temporary / "a").write_text("new")
    assert [file.name for file in folder.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("old")
    rename = type(folder).rename

    def fail(self, target):
        if self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", fail)
    with (
        pytest.raises(CheckpointError, match="No space left on device"),
        files.replacing_folder(folder) as temporary,
    ):
        (temporary / "a").write_text("new")
    assert (folder / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"), files.replacing(tmp_path / "file" / "inside"):
        pass


def test_a_glimpse_tells_files_apart(tmp_path):
    """By their size, their ends, and what lies between; equal content is equal wherever it is."""
    content = bytes(range(256)) * 8192
    changed = [content[:-1], content[:-1] + b"x", b"x" + content[1:], content[: 1 << 20] + bytes(1 << 20)]
    found = []
    for index, each in enumerate([content, content, *changed]):
        (tmp_path / str(index)).write_bytes(each)
        found.append(files.glimpse(tmp_path / str(index)))
    assert found[0] == found[1]
    assert len(set(found)) == 1 + len(changed)
