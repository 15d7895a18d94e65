import json
import shutil

import pytest

from jukebox.checkpoints import openai, store
from jukebox.cli.main import main
from jukebox.presets import LICENCE
from tests import mini
from tests.checkpoints import cases
from tests.checkpoints.server import Behaviour, serving


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JUKEBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def weights(*words: object) -> int:
    return main(["weights", *map(str, words)])


def mistake(capsys, *words: object) -> str:
    """The one sentence that these words give."""
    assert weights(*words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("jukebox: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_list_shows_models_files_sizes_and_the_cache(capsys, cache):
    (cache / "5b").mkdir(parents=True)
    (cache / "5b" / "vqvae.pth.tar").touch()
    (cache / "5b" / "prior_level_0.pth.tar.part").write_bytes(bytes(1500))
    assert weights("list") == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "5b/vqvae.pth.tar ~7.6 MB in the cache" in lines
    assert "5b/prior_level_0.pth.tar ~2.3 GB 1.5 kB so far" in lines
    assert "5b/prior_level_2.pth.tar 10.3 GB -" in lines
    assert "labels/v3_genre_ids.txt 9.4 kB -" in lines
    assert LICENCE in shown


def test_download_states_the_licence_first_and_takes_a_local_folder(capsys, cache, tmp_path):
    origin = tmp_path / "copies" / "5b"
    origin.mkdir(parents=True)
    (origin / "prior_level_0.pth.tar").write_bytes(b"weights")
    assert weights("download", "5b", "--parts", "prior_level_0", "--from", tmp_path / "copies") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(LICENCE)
    assert (cache / "5b" / "prior_level_0.pth.tar").read_bytes() == b"weights"
    assert "label list v2_artist_ids.txt was not found" in shown


def test_download_of_another_file_is_one_sentence(capsys, tmp_path):
    origin = tmp_path / "copies" / "5b"
    origin.mkdir(parents=True)
    (origin / "vqvae.pth.tar").write_bytes(b"not it")
    sentence = mistake(capsys, "download", "5b", "--from", tmp_path / "copies")
    assert "has sha256" in sentence or "with sha256" in sentence


@pytest.mark.parametrize("status", [403, 404])
def test_a_dead_mirror_is_one_sentence(status, capsys):
    with serving(Behaviour(files={}, statuses=[status])) as address:
        sentence = mistake(capsys, "download", "1b_lyrics", "--from", address)
    assert f"answered {status}" in sentence
    assert "--from" in sentence


def test_unknown_models_and_parts_are_named(capsys):
    assert "did you mean '5b_lyrics'" in mistake(capsys, "download", "5b_lyric")
    assert "no part 'prior'; its parts are vqvae" in mistake(capsys, "download", "5b", "--parts", "prior")


@pytest.mark.parametrize("name", cases.NAMES)
def test_import_verify_info_export(name, capsys, tmp_path):
    options = []
    if name in ("vqvae_module_prefix", "vqvae_zip_format"):
        (tmp_path / "config.json").write_text(cases.golden(name).config.to_json())
        options = ["--config", tmp_path / "config.json"]
    assert weights("import", cases.golden_path(name), "-o", tmp_path / "model", *options) == 0
    assert weights("verify", tmp_path / "model") == 0
    assert "sound" in capsys.readouterr().out
    assert weights("info", tmp_path / "model") == 0
    shown = capsys.readouterr().out
    assert f'"file": "{name}.pth.tar"' in shown
    assert "float32" in shown
    assert weights("export", tmp_path / "model", "--to", "openai", "-o", tmp_path / "out.pth.tar") == 0
    cases.assert_same_model(
        openai.read(tmp_path / "out.pth.tar"), cases.golden(name).config, dict(cases.golden(name).tensors)
    )


def test_a_huggingface_folder_there_and_back(capsys, tmp_path):
    for name, config in (("vqvae", cases.VQVAE), ("prior_level_2", cases.encoder_top())):
        store.save(tmp_path / "model" / name, cases.random_tensors(config), config, source={})
    assert weights("export", tmp_path / "model", "--to", "huggingface", "-o", tmp_path / "hf") == 0
    assert weights("verify", tmp_path / "hf") == 0
    assert weights("import", tmp_path / "hf", "-o", tmp_path / "again") == 0
    for name in ("vqvae", "prior_level_2"):
        first, again = store.load(tmp_path / "model" / name), store.load(tmp_path / "again" / name)
        assert first.config == again.config
        assert all(again.tensors[key].equal(tensor) for key, tensor in first.tensors.items())
    assert weights("export", tmp_path / "again", "--to", "openai", "-o", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"vqvae.pth.tar", "prior_level_2.pth.tar"}
    capsys.readouterr()


def test_a_single_foreign_file_is_verified(capsys):
    assert weights("verify", cases.golden_path("prior")) == 0
    shown = capsys.readouterr().out
    assert "every name and shape is right" in shown
    assert "of no released file known" in shown


def test_a_changed_byte_is_found(capsys, tmp_path):
    assert weights("import", cases.golden_path("vqvae"), "-o", tmp_path / "model") == 0
    content = bytearray((tmp_path / "model" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model" / "model.safetensors").write_bytes(bytes(content))
    capsys.readouterr()
    assert "has sha256" in mistake(capsys, "verify", tmp_path / "model")


def test_mistakes_with_files_are_one_sentence_each(capsys, tmp_path):
    golden = cases.golden_path("vqvae")
    no_hps = cases.golden_path("vqvae_zip_format")
    (tmp_path / "garbage.pth.tar").write_bytes(b"garbage")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("{")
    out = ("-o", tmp_path / "new")
    assert "does not exist" in mistake(capsys, "import", tmp_path / "none", *out)
    assert "is damaged" in mistake(capsys, "import", tmp_path / "garbage.pth.tar", *out)
    assert "cannot be read" in mistake(capsys, "import", tmp_path / "empty", *out)
    assert "for example --config 5b/vqvae" in mistake(capsys, "import", no_hps, *out)
    assert "does not belong" in mistake(capsys, "import", no_hps, "--config", "5b/vqvae", *out)
    assert "The names are" in mistake(capsys, "import", no_hps, "--config", "5b/vqvea", *out)
    assert "cannot be read as a configuration" in mistake(
        capsys, "import", no_hps, "--config", tmp_path / "bad.json", *out
    )
    assert "is no checkpoint of ours" in mistake(capsys, "import", golden, "-o", cases.CHECKPOINTS)
    assert "does not exist" in mistake(capsys, "info", tmp_path / "none")
    assert "holds no model" in mistake(capsys, "verify", tmp_path / "empty")
    assert "exists already" in mistake(capsys, "export", golden, "--to", "openai", "-o", golden)
    assert not (tmp_path / "new").exists()


def test_packing_replaces_nothing_but_a_packed_model(capsys, tmp_path, monkeypatch):
    runs, packed = mini.write_runs(tmp_path / "runs"), tmp_path / "packed"
    for _ in range(2):  # again into the same folder
        assert weights("pack", runs, "-o", packed) == 0
    (packed / ".hidden").mkdir()
    whole, link, mixed = tmp_path / "whole", tmp_path / "link", tmp_path / "mixed"
    parts = {"vqvae": "vqvae", "low": "bottom", "middle": "middle", "high": "top"}
    for run, part in parts.items():
        shutil.copytree(runs / run / "model", whole / part)
    link.symlink_to(whole, target_is_directory=True)
    mixed.mkdir()
    for part in parts.values():
        (mixed / part).symlink_to(whole / part, target_is_directory=True)
    monkeypatch.chdir(whole)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for origin, output in [
        *((whole, output) for output in (whole, link, ".", whole / "top", whole / "new", tmp_path)),
        *((link, whole), (".", whole), (mixed, whole), (packed, packed)),
    ]:
        for precision in ("float16", "int8"):
            assert "would be lost" in mistake(capsys, "pack", origin, "-o", output, "--precision", precision)
    for output, other in ((whole, "bottom"), (runs, "high"), (tmp_path / "words", "a.txt")):
        if other == "a.txt":
            output.mkdir()
            (output / other).touch()
        assert f"has in it {other}, which is no part" in mistake(capsys, "pack", packed, "-o", output)
    (tmp_path / "words" / "a.txt").unlink()
    error = mistake(capsys, "pack", "tiny-random", "-o", tmp_path / "new")
    assert "'tiny-random' has random weights and no files; the models that have are mini" in error
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_damaged_manifest_is_one_sentence(capsys, tmp_path):
    assert weights("import", cases.golden_path("vqvae"), "-o", tmp_path / "model") == 0
    manifest = tmp_path / "model" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 99}))
    capsys.readouterr()
    assert "format version 99" in mistake(capsys, "info", tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    assert "does not exist" in mistake(capsys, "verify", tmp_path / "model")
