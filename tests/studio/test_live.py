"""Sound that grows is, whole, the sound of the file."""

import io

import soundfile
import torch

from jukebox.studio.live import LiveSound


def test_pieces_are_one_sound_and_none_is_taken_twice() -> None:
    sound = torch.rand(2, 1000) * 2.2 - 1.1
    live = LiveSound(8000, 2)
    live.add(0, sound[:, :400])
    heard, last = live.after(0)
    assert not last
    live.add(300, sound[:, 300:700])  # begun again after an interruption
    live.add(700, sound[:, 700:])
    live.end()
    rest, last = live.after(len(heard))
    assert last
    found, rate = soundfile.read(io.BytesIO(live.header() + heard + rest), dtype="float32")
    assert rate == 8000
    torch.testing.assert_close(torch.from_numpy(found).T, sound.clamp(-1, 1), atol=1 / 32768 + 1e-6, rtol=1e-4)


def test_nothing_more_comes_after_the_end() -> None:
    live = LiveSound(8000, 1)
    assert live.after(0) == (b"", False)
    live.end()
    assert live.after(0) == (b"", True)
