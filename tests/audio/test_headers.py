"""What the first and last bytes tell."""

from pathlib import Path

import pytest

from jukebox.audio import headers
from tests.audio.sounds import chord, cut, save, save_m4a, save_mp3


def test_containers_are_announced(tmp_path: Path) -> None:
    names = {"a.wav": "wav", "a.flac": "flac", "a.ogg": "vorbis", "a.opus": "opus", "a.aiff": "aiff"}
    for name, expected in names.items():
        rate = 48_000 if name == "a.opus" else 44_100
        assert headers.announced_container(save(tmp_path / name, chord(1, 2000), rate)) == expected
    assert headers.announced_container(save_m4a(tmp_path / "a.m4a", chord(1, 2000))) == "m4a"
    assert headers.announced_container(save_mp3(tmp_path / "a.mp3", chord(1, 2000))) is None


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_wav_promises_survive_a_cut(tmp_path: Path, subtype: str) -> None:
    path = save(tmp_path / "a.wav", chord(2, 5_000), subtype=subtype)
    assert headers.wav_promised_samples(path) == 5_000
    assert headers.wav_promised_samples(cut(path)) == 5_000


def test_compressed_wav_promises_nothing(tmp_path: Path) -> None:
    assert headers.wav_promised_samples(save(tmp_path / "a.wav", chord(1, 5_000), subtype="IMA_ADPCM")) is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_ogg_file_is_seen(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "a.ogg", chord(2, 100_000))
    assert headers.ogg_is_complete(path)
    assert not headers.ogg_is_complete(cut(path, share))


def test_mp3_with_and_without_a_count(tmp_path: Path) -> None:
    counted, plain = tmp_path / "a.mp3", tmp_path / "b.mp3"
    assert headers.mp3_counts_its_frames(save_mp3(counted, chord(1, 5_000)))
    assert not headers.mp3_counts_its_frames(save_mp3(plain, chord(1, 5_000), counted=False))
    tag = b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256)
    counted.write_bytes(tag + counted.read_bytes())
    assert headers.mp3_counts_its_frames(counted)
