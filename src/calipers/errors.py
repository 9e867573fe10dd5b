"""The exception tree.

`UsageError` ends the command with exit code 2, `RunError` with 1; `Skip` ends one record only and
is written, with its reason, to ``skipped.jsonl``.
"""


class CalipersError(Exception):
    """Base of every error that Calipers raises on purpose; its text is one line for a person."""


class UsageError(CalipersError):
    """An argument or an input folder cannot be used (exit code 2)."""


class RunError(CalipersError):
    """A run started and could not be finished (exit code 1)."""


class DataError(CalipersError, ValueError):
    """A value object was given data of the wrong shape, type or range."""


class MissingExtraError(CalipersError):
    """An optional dependency is not installed; the message is the pip line that adds it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'calipers[{extra}]'")
        self.what = what
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        return type(self), (self.what, self.extra)


class MissingWeightsError(UsageError):
    """A model's weights are neither on disk nor to be fetched; the message says how to get them."""


class Skip(CalipersError):  # noqa: N818 - not a failure: the outcome of one record
    """One record (or object) is left out.

    Args:
        reason: a short stable word, counted in ``run.json`` (for example ``"missing_file"``).
        detail: what was found, for a person.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Skip"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)
