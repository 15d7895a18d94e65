"""Reading: every format, ranges and blocks equal the whole, resampling keeps what is heard, memory is bounded."""

import functools
import io
import os
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jukebox.audio.io import probe, read, stream
from jukebox.errors import AudioError
from tests.audio.sounds import chord, cut, damage, save, save_m4a, save_mp3, save_with_ffmpeg, sine

SAMPLES = 4 * 44_100 + 123
# Root mean square error against what was encoded: rounding for the lossless ones, twice the measured otherwise.
TOLERANCES = {"wav": 2e-5, "flac": 1e-7, "ogg": 0.05, "opus": 0.05, "mp3": 0.05, "m4a": 0.05}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, audio = tmp_path_factory.mktemp("formats"), chord(2, SAMPLES)
    return {
        "wav": save(folder / "a.wav", audio),
        "flac": save(folder / "a.flac", audio),
        "ogg": save(folder / "a.ogg", audio),
        "opus": save(folder / "a.opus", chord(2, SAMPLES, 48_000), 48_000),
        "mp3": save_mp3(folder / "a.mp3", audio),
        "m4a": save_m4a(folder / "a.m4a", audio),
        "plain_mp3": save_mp3(folder / "plain.mp3", audio, counted=False),
        "aac": save_with_ffmpeg(folder / "a.aac", audio, "aac", "adts"),
    }


@pytest.mark.parametrize("name", TOLERANCES)
def test_every_format_has_its_length_and_its_sound(files: dict[str, Path], name: str) -> None:
    info = probe(files[name])
    assert (info.channels, info.container) == (2, "ogg" if name == "opus" else name)
    assert info.duration_s == info.samples / info.sample_rate
    audio = read(str(files[name]), sample_rate=info.sample_rate)
    assert audio.shape == (2, info.samples)
    assert audio.dtype == torch.float32
    # FFmpeg writes the length of an M4A file in milliseconds; all others are exact.
    assert 0 <= info.samples - SAMPLES <= (44 if name == "m4a" else 0)
    error = audio[:, :SAMPLES] - chord(2, SAMPLES, info.sample_rate)
    assert error.square().mean().sqrt() <= TOLERANCES[name]


@pytest.mark.parametrize("name", ["plain_mp3", "aac"])
def test_files_without_a_length_are_counted(files: dict[str, Path], name: str) -> None:
    info = probe(files[name])
    assert abs(info.samples - read(files[name]).shape[1]) <= 1024
    assert abs(info.samples - SAMPLES) <= 3 * 1152


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-24), ("FLOAT", 0), ("DOUBLE", 0)],
)
def test_wav_bit_depths(tmp_path: Path, subtype: str, tolerance: float) -> None:
    audio = chord(1, 1000)
    error = read(save(tmp_path / "a.wav", audio, subtype=subtype)) - audio
    assert error.abs().max() <= tolerance


@pytest.mark.parametrize("channels", [1, 3, 6, 8])
def test_any_number_of_channels_in_order(tmp_path: Path, channels: int) -> None:
    audio = chord(channels, 500)
    assert torch.equal(read(save(tmp_path / "a.wav", audio, subtype="FLOAT")), audio)


def test_louder_than_full_scale_is_not_clipped(tmp_path: Path) -> None:
    audio = 3 * chord(1, 500)
    assert torch.equal(read(save(tmp_path / "a.wav", audio, subtype="FLOAT")), audio)


@functools.cache
def read_whole(path: Path, sample_rate: int) -> Tensor:
    return read(path, sample_rate=sample_rate)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["wav", "flac", "ogg", "opus", "mp3", "m4a", "plain_mp3", "aac"]),
    sample_rate=st.sampled_from([44_100, 48_000, 16_000]),
    block_samples=st.integers(1_000, 300_000),
)
def test_stream_is_read(files: dict[str, Path], name: str, sample_rate: int, block_samples: int) -> None:
    whole = read_whole(files[name], sample_rate)
    blocks = list(stream(files[name], sample_rate=sample_rate, block_samples=block_samples))
    assert [block.shape[1] for block in blocks[:-1]] == [block_samples] * (len(blocks) - 1)
    assert torch.equal(torch.cat(blocks, dim=1), whole)


def test_blocks_of_one_sample(tmp_path: Path) -> None:
    audio = chord(1, 50)
    blocks = list(stream(save(tmp_path / "a.wav", audio, subtype="FLOAT"), block_samples=1))
    assert len(blocks) == 50
    assert torch.equal(torch.cat(blocks, dim=1), audio)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["wav", "flac", "ogg", "opus", "mp3", "m4a", "plain_mp3", "aac"]),
    start_s=st.floats(0, 3.6),
    duration_s=st.floats(0.001, 5),
)
def test_a_range_is_that_range_of_the_whole(
    files: dict[str, Path], name: str, start_s: float, duration_s: float
) -> None:
    rate = probe(files[name]).sample_rate
    for sample_rate, tolerance in ((rate, 0), (32_000, 1e-12)):
        first, count = round(start_s * sample_rate), round(duration_s * sample_rate)
        whole = read_whole(files[name], sample_rate)[:, first : first + count]
        part = read(files[name], start_s=start_s, duration_s=duration_s, sample_rate=sample_rate)
        assert part.shape == whole.shape
        assert (part - whole).abs().max() <= tolerance


@pytest.mark.parametrize("file_rate", [44_101, 11_127])
def test_a_range_at_a_rate_without_a_simple_ratio(tmp_path: Path, file_rate: int) -> None:
    path = save(tmp_path / "a.wav", chord(1, 4 * file_rate), file_rate)
    part, whole = read(path, start_s=2.5, duration_s=0.5), read(path)
    assert (part - whole[:, 110_250 : 110_250 + 22_050]).abs().max() < 1e-5  # measured 1.7e-6


@pytest.mark.parametrize("file_rate", [8_000, 22_050, 32_000, 48_000, 96_000, 192_000, 44_101])
def test_resampling_keeps_pitch_level_and_length(tmp_path: Path, file_rate: int) -> None:
    samples = file_rate + 17
    path = save(tmp_path / "a.wav", sine(1000, file_rate, samples), file_rate, "FLOAT")
    audio = read(path)
    assert audio.shape == (1, round(samples * 44_100 / file_rate))
    inside = slice(1_000, -1_000)
    error = audio - sine(1000, 44_100, audio.shape[1])
    assert error[:, inside].abs().max() < 1e-5  # measured 2e-6


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path, quiet = tmp_path / "long.wav", np.zeros((48_000, 2), dtype=np.int16)
    with soundfile.SoundFile(path, "w", 48_000, 2) as file:
        for _ in range(120):
            file.write(quiet)
    tracemalloc.start()
    total = sum(block.shape[1] for block in stream(path, block_samples=32_768))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 120 * 44_100
    assert peak_bytes < 4e6  # the file's samples are 42 MB as float32


def test_an_abandoned_stream_leaves_no_file_open(files: dict[str, Path]) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("wav", "mp3"):
        blocks = stream(files[name], block_samples=100)
        next(blocks)
        del blocks
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_whose_writer_could_not_seek(tmp_path: Path) -> None:
    audio = chord(1, 30_000)
    wav = save(tmp_path / "a.wav", audio, subtype="FLOAT")
    data = wav.read_bytes()
    at = data.find(b"data") + 4
    for size in (0, 0x7FFFFFFF, 0xFFFFFFFF):
        wav.write_bytes(data[:at] + size.to_bytes(4, "little") + data[at + 4 :])
        assert torch.equal(read(wav), audio)
    flac = save(tmp_path / "a.flac", audio)
    header = bytearray(flac.read_bytes())
    header[21] &= 0xF0
    header[22:26] = bytes(4)  # the number of samples in STREAMINFO
    flac.write_bytes(header)
    assert read(flac).shape == audio.shape


def test_a_name_that_looks_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_mp3(Path("Artist: song.mp3").absolute(), chord(1, 5000))
    assert read("Artist: song.mp3").shape == (1, 5000)


def silent_film(path: Path) -> Path:
    """A film without a sound track."""
    with av.open(str(path), "w", format="matroska") as file:
        picture = file.add_stream("mpeg4", rate=1)
        picture.width = picture.height = 16
        picture.pix_fmt = "yuv420p"
        file.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(picture.encode(None))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


NOISE = np.random.default_rng(1).bytes(30_000)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "no.wav", "there is no file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: Path(os.devnull), "not an ordinary file"),
        (lambda folder: written(folder / "a.wav", b""), r"empty \(0 bytes\)"),
        (lambda folder: written(folder / "a.bin", NOISE), "not a sound file of a known format"),
        (lambda folder: written(folder / "a.wav", b"words " * 99), "looks like WAV but holds no sound"),
        (lambda folder: written(folder / "a.mp3", NOISE), "looks like MP3 but holds no sound"),
        (lambda folder: written(folder / "a", b"fLaC" + NOISE), "looks like FLAC but holds no sound"),
        (lambda folder: written(folder / "a.ogg", b"OggS" + NOISE), "looks like OGG but holds no sound"),
        (lambda folder: written(folder / "a.wav", b"RIFF\0\0\0\0WAVE" + NOISE), "looks like WAV but holds"),
        (lambda folder: written(folder / "list.m3u8", b"#EXTM3U\n#EXTINF:5,\nhttp://localhost/a.ts\n"), "known"),
        (lambda folder: cut(save_m4a(folder / "a.m4a", chord())), "without a usable index"),
        (lambda folder: save(folder / "a.wav", chord(1, 0)), "looks like WAV but holds no sound"),
        (lambda folder: silent_film(folder / "a.mkv"), "has no sound in it"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture, make, sentence: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(AudioError, match=sentence) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(AudioError, match=sentence):
        stream(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("harm", [cut, damage])
@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "opus", "mp3", "m4a"])
def test_a_broken_file_is_read_up_to_the_break(tmp_path: Path, capfd: pytest.CaptureFixture, name: str, harm) -> None:
    if harm is damage and name in ("wav", "m4a"):
        pytest.skip("nothing in these formats shows damage between the headers")
    path, rate, samples = tmp_path / f"a.{name}", 48_000, 6 * 48_000
    audio = chord(2, samples, rate)
    maker = {"mp3": save_mp3, "m4a": lambda *a: save_m4a(*a, index_first=True)}.get(name, save)
    whole = read(maker(path, audio, rate), sample_rate=rate)
    harm(path)
    good = []
    sentence = r"cut off or damaged, only \d\.\d\d s .*can be read: fetch it again"
    with pytest.raises(AudioError, match=sentence) as caught:
        good.extend(stream(path, sample_rate=rate, block_samples=1000))  # keeps what came before the error
    good_s = float(str(caught.value).split("only ")[1].split(" s")[0])
    part = torch.cat(good, dim=1)
    assert 1.5 < good_s <= part.shape[1] / rate < good_s + 0.01
    inside = part.shape[1] - (0 if name in ("wav", "flac") else 4000)  # a decoder's last packets miss their next
    assert (part[:, :inside] - whole[:, :inside]).abs().max() < 1e-5  # a small Ogg file has the other decoder
    # What the sentence advises works, at another rate too, and a later start says the same.
    assert read(path, duration_s=good_s, sample_rate=rate).shape == (2, round(good_s * rate))
    assert read(path, duration_s=good_s).shape == (2, round(good_s * 44_100))
    if harm is cut and name in ("wav", "flac", "mp3", "m4a"):
        with pytest.raises(AudioError, match=rf"only {good_s:.2f} s of the 6.00 s in its header"):
            read(path, start_s=5.0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_values_that_are_not_numbers_are_found(tmp_path: Path, bad: float, sample_rate: int) -> None:
    audio = chord(2, 44_100)
    audio[1, 30_870] = bad
    path = save(tmp_path / "a.wav", audio, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"NaN or infinite values from 0\.700 s on"):
        read(path, sample_rate=sample_rate)
    assert read(path, duration_s=0.7, sample_rate=sample_rate).shape == (2, round(0.7 * sample_rate))
    assert read(path, start_s=0.8, sample_rate=44_100).shape == (2, 8_820)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start_s": -1.0}, "start_s is -1.0"),
        ({"start_s": float("nan")}, "start_s is nan"),
        ({"duration_s": -0.5}, "duration_s is -0.5"),
        ({"duration_s": 0.0}, "duration_s is 0.0"),
        ({"duration_s": float("inf")}, "duration_s is inf"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"start_s": 4.5}, "is 4.00 s long: begin before its end"),
    ],
)
def test_impossible_ranges(files: dict[str, Path], options: dict, sentence: str) -> None:
    for name in ("wav", "ogg", "mp3", "m4a"):
        with pytest.raises(AudioError, match=sentence):
            stream(files[name], **options)


def test_more_than_there_is_reads_to_the_end(files: dict[str, Path]) -> None:
    assert read(files["wav"], start_s=3.0, duration_s=100.0).shape == (2, SAMPLES - 3 * 44_100)


def test_chunks_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    """Before and after the sound of a WAV file."""
    audio = chord(1, 100)
    data = save(tmp_path / "a.wav", audio, subtype="PCM_16").read_bytes()
    odd = b"junk" + (3).to_bytes(4, "little") + b"abc\0"
    body = io.BytesIO(data[:12] + odd + data[12:] + odd).getvalue()
    path = written(tmp_path / "b.wav", body[:4] + (len(body) - 8).to_bytes(4, "little") + body[8:])
    assert (read(path) - audio).abs().max() <= 2**-15


def test_vorbis_of_changing_block_sizes_seeks_exactly(tmp_path: Path) -> None:
    """Attacks make the encoder change its block size, after which both libraries seek to wrong samples."""
    audio = chord(2, 8 * 44_100)
    audio *= (torch.arange(audio.shape[1]) % 9_000 < 3_000).float()
    path = save(tmp_path / "a.ogg", audio)
    whole = read(path)
    for start_s in torch.linspace(1.1, 7.99, 60).tolist():
        first = round(start_s * 44_100)
        assert torch.equal(read(path, start_s=start_s, duration_s=0.02), whole[:, first : first + 882])


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
@pytest.mark.parametrize("samples", [1, 128, 1_000, 8_192, 48_000, 4 * 48_000 + 77])
def test_lengths_of_ogg_files(tmp_path: Path, suffix: str, samples: int) -> None:
    audio = chord(1, samples, 48_000)
    path = save(tmp_path / f"a.{suffix}", audio, 48_000)
    once = torch.from_numpy(soundfile.read(path, dtype="float32", always_2d=True)[0].T.copy())
    assert probe(path).samples == samples
    error = read(path, sample_rate=48_000) - once  # two decoders; libsndfile's is right in one call
    assert error.abs().max() < 2e-3  # measured 7e-4, in Opus at its last samples
