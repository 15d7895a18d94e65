import errno
import subprocess
import sys
import threading
import types

import pytest

from jukebox.cli import main as command_line
from jukebox.cli.main import COMMANDS, main
from jukebox.errors import AudioError
from jukebox.version import __version__


def in_a_process(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "jukebox.cli.main", *words], capture_output=True, text=True)


@pytest.fixture
def command(monkeypatch):
    """A command named `probe` whose `run` is set by the test."""
    module = types.ModuleType("probe")
    module.add_parser = lambda subparsers: subparsers.add_parser("probe")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe", module)
    monkeypatch.setitem(COMMANDS, "probe", ("probe", "a test"))
    return module


def raising(error):
    def run(arguments):
        raise error

    return run


def test_version_and_help_load_nothing_heavy():
    code = (
        "import sys\nfrom jukebox.cli.main import main\n"
        "assert main(['--version']) == main(['--help']) == main(['weights', '--help']) == 0\n"
        "print(sorted({'torch', 'numpy', 'rich', 'av', 'soundfile'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"jukebox {__version__}\n")
    assert done.stdout.endswith("[]\n")


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    assert "usage: jukebox" in capsys.readouterr().out


def test_an_unknown_command_suggests_the_closest(capsys):
    assert main(["wieghts", "list"]) == 2
    assert capsys.readouterr().err.endswith("did you mean 'weights'?\n")
    assert main(["zzz"]) == 2
    assert "run `jukebox --help`" in capsys.readouterr().err


@pytest.mark.parametrize("status", [0, 1])
def test_the_commands_own_status_is_returned(command, status):
    command.run = lambda arguments: status
    assert main(["probe"]) == status


def test_a_mistake_is_one_sentence_and_status_2(command, capsys):
    command.run = raising(AudioError("song.mp3 is empty; name another file."))
    assert main(["probe"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "jukebox: song.mp3 is empty; name another file.\n"
    assert captured.out == ""


def test_a_bug_of_ours_keeps_its_traceback(command):
    command.run = raising(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["probe"])


def test_ctrl_c_is_a_short_line_and_status_130(command, capsys):
    command.run = raising(KeyboardInterrupt())
    assert main(["probe"]) == 130
    assert capsys.readouterr().err == "\njukebox: stopped.\n"


def test_unknown_options_are_refused(command, capsys):
    command.run = lambda arguments: 0
    assert main(["probe", "--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_the_installed_process_behaves_the_same():
    done = in_a_process("weights", "info", "no-such-file.pth.tar")
    assert done.returncode == 2
    assert done.stderr.startswith("jukebox: no-such-file.pth.tar does not exist")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_command_has_one_line_of_help():
    assert all(help_text and "\n" not in help_text for _, help_text in command_line.COMMANDS.values())


def test_a_full_disk_and_a_locked_file_are_one_sentence_wherever_they_are_noticed(command, capsys):
    command.run = raising(OSError(errno.ENOSPC, "No space left on device", "log.jsonl"))
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == (
        "jukebox: log.jsonl cannot be written (No space left on device): make room, and run the same command again.\n"
    )
    full = threading.Thread(target=raising(OSError(errno.ENOSPC, "No space left on device")), args=(None,))

    def writing(arguments):
        full.start()
        full.join()
        return 0

    command.run = writing
    assert main(["probe"]) == 0
    assert capsys.readouterr().err == ""  # TensorBoard writes in a thread: what that notices, the command notices later
    command.run = raising(PermissionError(errno.EACCES, "Permission denied", "locked/a.wav"))
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == (
        "jukebox: locked/a.wav cannot be used (Permission denied): choose another, or change who may use it.\n"
    )
    command.run = raising(OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        main(["probe"])
