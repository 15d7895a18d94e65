"""The `jukebox` command: finds the subcommand, runs it, and turns a user's mistake into one sentence.

Subcommands are imported only when they are asked for, so that `--help` and `--version` are immediate.
"""

import argparse
import difflib
import errno
import importlib
import sys
import threading
from collections.abc import Sequence

from jukebox.errors import JukeboxError
from jukebox.version import __version__

COMMANDS = {
    "generate": ("jukebox.cli.generate", "a song from artist, genre and lyrics"),
    "continue": ("jukebox.cli.continue_", "an unfinished song to its end, or a longer song from an earlier one"),
    "upsample": ("jukebox.cli.upsample", "finer levels for codes that exist"),
    "rank": ("jukebox.cli.rank", "the takes of a song, the best first, before anybody listens"),
    "join": ("jukebox.cli.join", "parts of songs, one after another: cut, trimmed, merged, gone on with"),
    "stereo": ("jukebox.cli.stereo", "two or three takes of one song as left, right and centre"),
    "studio": ("jukebox.cli.studio", "songs in a browser: written, heard, compared, gone on with"),
    "encode": ("jukebox.cli.encode", "a recording into codes"),
    "decode": ("jukebox.cli.decode", "codes into sound"),
    "reconstruct": ("jukebox.cli.reconstruct", "a recording through the VQ-VAE, with how close each level comes"),
    "features": ("jukebox.cli.features", "what the layers of a prior make of recordings, as arrays"),
    "data": ("jukebox.cli.data", "a folder of music into datasets of sound and of codes"),
    "train": ("jukebox.cli.train", "a recipe into a model of your own, or a fine-tune of another"),
    "evaluate": (
        "jukebox.cli.evaluate",
        "how good a model is: reconstruction, likelihood, alignment, codebook, distribution, artists",
    ),
    "models": ("jukebox.cli.models", "the models there are, and which of them are here"),
    "labels": ("jukebox.cli.labels", "the artists and genres that a model knows"),
    "weights": ("jukebox.cli.weights", "list, download, import, export, pack, inspect and verify model files"),
}
"""Each command's module, which has `add_parser(subparsers)` and `run(arguments) -> int`, and its one-line help."""

EXIT_MISTAKE, EXIT_INTERRUPTED = 2, 130

# A full disk, a quota, a limit on the size of files: what nobody catches where it happens ends here.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_TO_BE_HAD = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `jukebox`; those of the process by default.

    Returns:
        The exit status: 0, 2 after a user's mistake, 130 after Ctrl-C.
    """
    threading.excepthook = _say_of_threads
    words = list(sys.argv[1:] if argv is None else argv)
    command = words[0] if words and not words[0].startswith("-") else None
    if command is not None and command not in COMMANDS:
        return _complain(_unknown(command))
    try:
        arguments = _parser(command).parse_args(words)
        if command is None:
            _parser(None).print_help()
            return EXIT_MISTAKE
        return importlib.import_module(COMMANDS[command][0]).run(arguments)
    except SystemExit as stop:  # argparse has printed what is wrong, or the help that was asked for
        return int(stop.code or 0)
    except JukeboxError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\njukebox: stopped.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `jukebox weights list | head -1`
        sys.stderr.close()
        return 0
    except OSError as error:
        what = error.filename or "A file"
        if error.errno in _NOT_TO_BE_HAD:
            return _complain(f"{what} cannot be used ({error.strerror}): choose another, or change who may use it.")
        if error.errno not in _NO_ROOM:
            raise
        return _complain(f"{what} cannot be written ({error.strerror}): make room, and run the same command again.")


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser with `command`'s own options; of the other commands only the names."""
    parser = argparse.ArgumentParser(prog="jukebox", description="Music with singing, from sound to codes and back.")
    parser.add_argument("--version", action="version", version=f"jukebox {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, (module, help_text) in COMMANDS.items():
        if name == command:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=help_text, add_help=False)
    return parser


def _unknown(command: str) -> str:
    close = difflib.get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "run `jukebox --help`."
    return f"There is no command {command!r}; the commands are {', '.join(COMMANDS)}: {hint}"


def _say_of_threads(failure: threading.ExceptHookArgs) -> None:
    """Nothing of a full disk, which the command notices too; anything else as is usual."""
    error = failure.exc_value
    if not (isinstance(error, OSError) and error.errno in _NO_ROOM):
        threading.__excepthook__(failure)


def _complain(sentence: str) -> int:
    print(f"jukebox: {sentence}", file=sys.stderr)
    return EXIT_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
