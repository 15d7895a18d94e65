"""Every mistake a user can make, as an exception with one clear sentence.

A message says what was found, what was expected and what to do. The command line prints it and exits with
status 2; there is no traceback. Bugs of ours are never a `JukeboxError`.
"""


class JukeboxError(Exception):
    """A mistake in what the user gave: its text is one sentence that says what to do."""


class ConfigError(JukeboxError):
    """A configuration that contradicts itself or names an unknown field."""


class FieldError(ConfigError):
    """A field of a configuration with a value that it cannot have.

    Args:
        field: its name.
        called: what it is called for whoever wrote the configuration.
        said: the rest of the sentence: what was found and what is expected.
    """

    def __init__(self, field: str, called: str, said: str) -> None:
        super().__init__(field, called, said)
        self.field, self.called, self.said = field, called, said

    def __str__(self) -> str:
        return f"{self.called} {self.said}"


class CheckpointError(JukeboxError):
    """A weights file that is missing, damaged, of an unknown layout or of another model."""


class DownloadError(CheckpointError):
    """A download that could not be completed; what arrived is kept for the next attempt."""


class AudioError(JukeboxError):
    """An audio file that cannot be read, or sound that cannot be used."""


class LabelError(JukeboxError):
    """An artist, a genre or lyrics that the vocabulary of the model does not have."""


class TrainingError(JukeboxError):
    """A run of training that cannot go on: no finite gradients, no room, another run's folder."""


class DataError(JukeboxError):
    """Codes or other data files that are missing, damaged or of another model."""


class DeviceError(JukeboxError):
    """A device that cannot be used, has no room, or is lost."""
