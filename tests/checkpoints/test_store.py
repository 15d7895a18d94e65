import json

import pytest

from jukebox.checkpoints import files, store, tensor_file
from jukebox.errors import CheckpointError
from tests.checkpoints import cases

CONFIG = cases.unlabelled()


@pytest.fixture
def folder(tmp_path):
    store.save(tmp_path / "model", cases.random_tensors(CONFIG), CONFIG, source={"format": "test"})
    return tmp_path / "model"


@pytest.mark.parametrize("config", [cases.VQVAE, cases.encoder_top(), cases.upsampler(1)])
def test_what_is_saved_is_loaded(config, tmp_path):
    tensors = cases.random_tensors(config)
    store.save(tmp_path / "model", tensors, config, source={"step": 3})
    found = store.verify(tmp_path / "model")
    assert (found.config, found.source) == (config, {"step": 3})
    assert found.kind == ("vqvae" if config is cases.VQVAE else "prior")
    assert all(found.tensors[name].equal(tensor) for name, tensor in tensors.items())
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.safetensors",
        "config.json",
        "manifest.json",
    }


def test_a_failed_save_leaves_the_earlier_model(folder, monkeypatch):
    def fail(path, tensors, progress):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tensor_file, "write", fail)
    for destination in (folder, folder.with_name("new")):
        with pytest.raises(KeyboardInterrupt):
            store.save(destination, cases.random_tensors(CONFIG), CONFIG, source={})
    assert store.verify(folder).source == {"format": "test"}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_later_save_replaces_an_earlier_one(folder):
    store.save(folder, cases.random_tensors(CONFIG), CONFIG, source={"format": "later"})
    assert store.verify(folder).source == {"format": "later"}
    assert list(folder.parent.iterdir()) == [folder]


def test_other_folders_are_never_replaced(tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(CheckpointError, match="is no checkpoint of ours"):
        store.save(tmp_path, cases.random_tensors(CONFIG), CONFIG, source={})
    assert (tmp_path / "precious.txt").exists()


def test_tensors_of_another_model_are_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="does not belong to its configuration"):
        store.save(tmp_path / "model", cases.random_tensors(cases.upsampler(0)), CONFIG, source={})
    assert not (tmp_path / "model").exists()


def test_verify_finds_one_changed_byte_that_load_does_not(folder):
    path = folder / store.TENSORS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    store.load(folder)
    with pytest.raises(CheckpointError, match="has sha256"):
        store.verify(folder)


@pytest.mark.parametrize("name", [store.TENSORS, store.CONFIG])
def test_missing_and_truncated_files_are_named(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"bytes; expected \d+: it is truncated"):
        store.load(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        store.load(folder)


def change(folder, **changes):
    manifest = json.loads((folder / store.MANIFEST).read_text())
    (folder / store.MANIFEST).write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format_version": 2}, "format version 2; this program reads version 1"),
        ({"kind": "other"}, "is damaged"),
        ({"files": {}}, "is damaged"),
        ({"files": {"../x": {"bytes": 0, "sha256": ""}}}, "is damaged"),
        ({"kind": "vqvae"}, "cannot be used: VqvaeConfig has no field"),
    ],
)
def test_other_manifests_are_refused(folder, changes, sentence):
    change(folder, **changes)
    with pytest.raises(CheckpointError, match=sentence):
        store.load(folder)


def test_another_models_config_is_refused(folder):
    other = cases.encoder_top().to_json()
    (folder / store.CONFIG).write_text(other)
    described = {"bytes": len(other), "sha256": files.sha256(folder / store.CONFIG)}
    recorded = json.loads((folder / store.MANIFEST).read_text())["files"]
    change(folder, files=recorded | {store.CONFIG: described})
    with pytest.raises(CheckpointError, match="does not belong to its configuration"):
        store.load(folder)


def test_a_folder_without_a_manifest_is_no_model(folder):
    (folder / store.MANIFEST).write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        store.load(folder)
    (folder / store.MANIFEST).unlink()
    assert not store.is_checkpoint(folder)
    with pytest.raises(CheckpointError, match=r"has no manifest.json"):
        store.load(folder)
