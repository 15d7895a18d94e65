"""The programs outside Python: which are needed, whether they are there, how to get them, and running one."""

import importlib.util
import shutil
import subprocess
import warnings
from pathlib import Path
from types import ModuleType

from jukebox.errors import JukeboxError

FESTIVAL_VOICE = Path("/usr/share/festival/voices/us/cmu_us_slt_arctic_hts/hts/cmu_us_slt_arctic_hts.htsvoice")
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")

PROGRAMS = {"festival": "festival", "hts_engine": "htsengine", "flite": "flite", "fluidsynth": "fluidsynth"}
"""Each program's Debian package."""
FILES = {FESTIVAL_VOICE: "festvox-us-slt-hts", SOUNDFONT: "fluid-soundfont-gm"}
MODULES = ("scipy", "pyworld", "pyloudnorm", "mido")
CHECK_MODULES = ("pocketsphinx", "matplotlib")


class ToolError(JukeboxError):
    """A program that is missing or that failed."""


def missing() -> list[str]:
    """Debian packages that `render` needs and that are not installed."""
    programs = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    return programs + [package for file, package in FILES.items() if not file.exists()]


def missing_modules(names: tuple[str, ...]) -> list[str]:
    """Those Python packages of the extra `songbook` that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def require(*modules: str, programs: bool = True) -> None:
    """See that everything is there.

    Raises:
        ToolError: one sentence with what is missing and how to get it.
    """
    packages = missing() if programs else []
    if packages:
        raise ToolError(
            f"Singing needs the Debian packages {', '.join(packages)}: "
            f"run `apt-get install --no-install-recommends {' '.join(packages)}`."
        )
    lacking = missing_modules(modules)
    if lacking:
        raise ToolError(f"The Python packages {', '.join(lacking)} are missing: run `pip install '.[songbook]'`.")


def world() -> ModuleType:
    """The vocoder pyworld, without its warning about pkg_resources, which no user can do anything about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyworld
    return pyworld


def run(words: list[str], stdin: str | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        ToolError: it is missing or failed.
    """
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, errors="replace")
    except FileNotFoundError:
        raise ToolError(
            f"The program {words[0]!r} is missing: install the Debian package {PROGRAMS.get(words[0], words[0])}."
        ) from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise ToolError(f"{words[0]} failed with status {done.returncode}: {last[0]}")
    return done.stdout
