"""The one exception tree of dfrecord.

Every message is one line that says what is wrong, where (file, entry number, JSON pointer) and what to do about it.
The command line prints it after `dfrecord: ` and exits with 2, or with 1 for `WorkFailed`.
"""


class DfrecordError(Exception):
    """Anything dfrecord refuses or cannot do; the message is meant for the person at the terminal."""


class UnreadableInput(DfrecordError):
    """The input is missing, empty, of no known kind, or broken beyond what can be saved."""


class UsageError(DfrecordError):
    """The call itself is wrong: an unknown format, a value that does not fit, a parameter that does not exist."""


class SecretInOutput(DfrecordError):
    """A recorded secret still stands in what was about to be written; nothing was written."""


class WorkFailed(DfrecordError):
    """The command was right and the input readable, but the work itself failed (exit code 1)."""
