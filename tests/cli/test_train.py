"""`jukebox train` on a small data set of real files: a VQ-VAE, codes, a prior, and the mistakes on the way."""

import json
from pathlib import Path

import pytest
import torch

from jukebox.audio.io import Writer
from jukebox.checkpoints.load import load_prior, load_vqvae
from jukebox.cli.main import main

VQVAE = """
data: {path: DATA, crops: {length_samples: 4096}}
model:
  sample_rate: 16000
  steps: [2, 1]
  strides: [2, 2]
  multipliers: [1, 1]
  width: 8
  depth: 1
  embedding_width: 8
  codebook: {size: 16, restart_unit: mean_use, restart_threshold: 0.1}
bandwidth_s: 2
run: {steps: 4, batch: 2, save_every_steps: 2, log_every_steps: 2, evaluate_every_steps: 4, sample_every_steps: 4}
"""
PRIOR = """
data: {path: DATA}
model:
  level: 1
  codebook_size: 16
  transformer: {context: 64, width: 16, attention: RCP, heads: 2, rows: 8}
  labels: {artists: 8, genres: 8, genre_slots: 1, timing_bins: 4, min_duration_s: 1.0, max_duration_s: 60.0}
  upsampler: null
  lyrics: null
  tied_output: true
  recondition: true
vqvae: MODEL
run: {steps: 4, batch: 2, save_every_steps: 2, log_every_steps: 2, evaluate_every_steps: 4, sample_every_steps: 4}
"""

ALIGNED = [
    "model.transformer.attention=RCD",
    "model.lyrics={tokens: 8, vocabulary: 80, loss_weight: 0.4, alignment_layer: 2, alignment_head: 0}",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set, and a trained VQ-VAE in `vqvae`."""
    place = tmp_path_factory.mktemp("train")
    music, random = place / "music", torch.Generator().manual_seed(0)
    music.mkdir()
    lines = []
    for index in range(4):
        time = torch.arange(16000 * 4) / 16000
        sound = 0.4 * torch.sin(6.28 * (200 + 150 * index) * time) + 0.02 * torch.randn(len(time), generator=random)
        with Writer(music / f"{index}.wav", channels=1, sample_rate=16000) as writer:
            writer.write(sound[None])
        split = "validation" if index == 3 else "train"
        lines.append({"path": f"{index}.wav", "artist": f"A{index % 2}", "genre": "tones", "split": split})
    (music / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert (
        main(["data", "prepare", str(music), "-o", str(place / "data"), "--sample-rate", "16000", "--workers", "1"])
        == 0
    )
    (place / "vqvae.yaml").write_text(VQVAE.replace("DATA", str(place / "data")))
    assert main(["train", "vqvae", str(place / "vqvae.yaml"), "-o", str(place / "vqvae")]) == 0
    text = PRIOR.replace("DATA", str(place / "data")).replace("MODEL", str(place / "vqvae" / "model"))
    (place / "prior.yaml").write_text(text)
    return place


def test_a_vqvae_is_trained_and_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_vqvae(place / "vqvae" / "model").config.sample_rate == 16000
    words = ["train", "vqvae", str(place / "vqvae.yaml"), "run.steps=6", "-o", str(place / "vqvae_longer")]
    assert main(["train", "vqvae", str(place / "vqvae.yaml"), "-o", str(place / "vqvae_longer")]) == 0
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "going on from step 4" in out
    assert "the model after 6 steps" in out
    assert main(words) == 0
    assert "the run has all its 6 steps" in capsys.readouterr().out
    assert main([*words, "run.steps=3"]) == 0  # fewer than there are: finished, not interrupted
    out = capsys.readouterr().out
    assert "the run has 6 of 3 steps; set run.steps to more" in out
    assert "the model after 6 steps" in out


@pytest.mark.parametrize("data", ["sound", "codes"])
def test_a_prior_is_trained_on_sound_and_on_codes(place: Path, data: str) -> None:
    run, settings = place / f"prior_{data}", []
    if data == "codes":
        model = ["--model", str(place / "vqvae" / "model"), "--workers", "1"]
        assert main(["data", "tokenize", str(place / "data"), "-o", str(place / "codes"), *model]) == 0
        settings = [
            f"data.path={place / 'codes'}",
            "run.sample_every_steps=1",
        ]  # before there is anything to sample from
    assert main(["train", "prior", str(place / "prior.yaml"), "-o", str(run), "--level", "1", *settings]) == 0
    prior = load_prior(run / "model")
    assert prior.config.level == 1
    assert (run / "model" / "vocabulary.json").is_file()
    assert (run / "sounds" / "step-00000004" / "generated.wav").is_file()
    assert not (run / "sounds" / "step-00000001").exists()


def test_a_dry_run_measures_and_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(place.iterdir())
    assert main(["train", "prior", str(place / "prior.yaml"), "--dry-run", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "parameters" in out
    assert "tokens/s" in out
    assert set(place.iterdir()) == before
    words = ["train", "prior", str(place / "prior.yaml"), "--dry-run", "--memory", "0.000001"]
    assert main(words) == 2
    assert "set run.recompute=true" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("vqvae", ["-o", "RUN", "run.stepz=3"], "RunConfig has no field 'stepz'"),
        ("vqvae", [], "There is no folder for the run"),
        ("vqvae", ["-o", "RUN", "data.path=nowhere"], "has no dataset.json"),
        ("vqvae", ["-o", "DATA"], "exists and is no run of training"),
        ("vqvae", ["-o", "VQVAE", "run.seed=1"], "is a run with run.seed = 0; the recipe says 1"),
        ("vqvae", ["-o", "RUN", "data.crops.length_samples=4098"], "expected a multiple of the hop 8"),
        ("vqvae", ["-o", "RUN", "model.sample_rate=8000"], "has a sample rate of 16000 Hz, the model one of 8000"),
        ("vqvae", ["-o", "RUN", "--device", "abacus"], "The device is 'abacus', which cannot be used"),
        ("vqvae", ["--dry-run", "--memory", "nan"], "--memory is nan; give a number of gigabytes above 0"),
        ("vqvae", ["-o", "RUN", "--devices", "8"], "suppose a machine for --dry-run"),
        ("prior", ["-o", "VQVAE"], "is a run of another kind; name a new folder"),
        ("prior", ["-o", "RUN", "--level", "0"], "--level is 0 and PriorConfig.level is 1"),
        ("prior", ["-o", "RUN", "vqvae=null"], "PriorRecipe.vqvae is None; expected a VQ-VAE's folder"),
        ("prior", ["-o", "RUN", "model.labels.artists=2"], "LabelConfig.artists is 2; the data need 3"),
        ("prior", ["-o", "RUN", "model.labels.min_duration_s=30"], "No song is left to train on"),
        ("prior", ["-o", "RUN", "alignment.weight=0.1"], "This prior has no alignment head"),
        ("prior", ["-o", "RUN", "alignment.weight=0.1", *ALIGNED], "knows of no song when its words are sung"),
    ],
)
def test_mistakes_are_one_sentence(
    place: Path, kind: str, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": str(tmp_path / "run"), "DATA": str(place / "data"), "VQVAE": str(place / "vqvae")}
    kept = {path: path.stat().st_mtime_ns for path in (place / "vqvae").rglob("*")}
    assert main(["train", kind, str(place / f"{kind}.yaml"), *(places.get(word, word) for word in words)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("jukebox: ")
    assert captured.err.count("\n") == 1
    assert kept == {path: path.stat().st_mtime_ns for path in (place / "vqvae").rglob("*")}


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # of PyTorch itself
def test_without_a_compiler_nothing_begins(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config as compiler

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler.cpp, "cxx", ("no-such-compiler",))
    for kind in ("vqvae", "prior"):
        words = ["train", kind, str(place / f"{kind}.yaml"), "-o", str(tmp_path / "run"), "run.compile=true"]
        assert main([*words, "--device", "cpu"]) == 2
        captured = capsys.readouterr().err
        assert "RunConfig.compile is true, and torch.compile does not work here" in captured
        assert captured.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_fit_is_refused_and_a_smaller_one_goes_on_in_its_folder(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for kind in ("vqvae", "prior"):
        run = ["train", kind, str(place / f"{kind}.yaml"), "-o", str(tmp_path / kind), "--device", "cpu", "run.steps=1"]
        assert main([*run, "run.batch=1000000000"]) == 2
        captured = capsys.readouterr().err
        assert "on each device and cpu has" in captured
        assert captured.count("\n") == 1
        assert main(run) == 0


def test_codes_of_another_model_are_refused(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert main(["train", "vqvae", str(place / "vqvae.yaml"), "-o", str(other), "run.seed=5", "run.steps=2"]) == 0
    model = ["--model", str(other / "model"), "--workers", "1"]
    assert main(["data", "tokenize", str(place / "data"), "-o", str(tmp_path / "codes"), *model]) == 0
    words = ["train", "prior", str(place / "prior.yaml"), "-o", str(tmp_path / "run")]
    assert main([*words, f"data.path={tmp_path / 'codes'}"]) == 2
    assert "was tokenised with the codebooks" in capsys.readouterr().err
    run = ["train", "prior", str(place / "prior.yaml"), "-o", str(tmp_path / "prior"), "run.steps=1"]
    assert main(run) == 0
    words = ["evaluate", "likelihood", str(tmp_path / "codes"), "--model", str(tmp_path / "prior" / "model")]
    assert main(words) == 2
    assert "was trained on the codebooks" in capsys.readouterr().err
    assert main(["data", "tokenize", str(place / "data"), "-o", str(tmp_path / "x"), *model, "--device", "abacus"]) == 2
    assert "--device is 'abacus', which cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
