"""What cspdet raises. Every error is one sentence that names the place and the fact, and a `help` that names the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cspdet.text import printable

if TYPE_CHECKING:
    from cspdet.cfg.diagnostic import Diagnostic


class CspdetError(Exception):
    """Base of all errors that are the input's fault; the command line prints them in one line, without a traceback.

    `exit_code` is 1 where the content of an input is at fault and 2 where the call is (no such file, wrong arguments).
    """

    exit_code = 1

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 - the word the messages use
        super().__init__(message, help)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        message, cure = printable(self.message), printable(self.help)
        return f"{message}\n  help: {cure}" if cure else message


class UsageError(CspdetError):
    """The call itself cannot work: an input that is not there, a wrong argument, a place that cannot be written."""

    exit_code = 2


class UnsupportedError(UsageError):
    """An engine that does not have one of a network's operations."""


class CfgError(CspdetError):
    """A cfg that cannot be run. Carries all diagnostics at once, not only the first."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        errors = [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.label.span}: {first.message}{more}", first.help)
        self.args = (diagnostics,)
        self.diagnostics = diagnostics


class WeightsError(CspdetError):
    """A weights file that is damaged, foreign, or made for another cfg."""


class ImageError(CspdetError):
    """An image, video or stream that cannot be decoded."""


class ExportError(CspdetError):
    """An exported file that is damaged or foreign, or a network that cannot be exported as what it is."""


class DownloadError(CspdetError):
    """A file that could not be fetched, or that is not the file it should be."""


class CfgWarning(UserWarning):
    """A cfg that runs, but whose numbers may not be what its writer expects."""


class WeightsWarning(UserWarning):
    """Weights that load, but not into every layer."""


class EngineWarning(UserWarning):
    """A network that another engine runs than the one asked for."""
