from pathlib import Path

from jukebox.cache import cache_folder


def test_the_chosen_folder_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("JUKEBOX_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_by_default_it_is_the_users_own(monkeypatch):
    monkeypatch.delenv("JUKEBOX_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder().is_relative_to(Path.home())
    assert cache_folder().name == "jukebox"
