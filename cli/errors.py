"""What a command ends with: the exit codes, and an error that says what and what to do."""

from enum import IntEnum

from messages.control import Finding


class Exit(IntEnum):
    """Exit codes. Those of verdicts are the verdict's own."""

    PASSED = 0
    FAILED = 1
    INVALID = 2
    INCONCLUSIVE = 3
    ABORTED = 4
    UNSAFE = 5
    UNREACHABLE = 6


class CliError(Exception):
    """The command cannot go on: one line what is wrong, one line what to do."""

    def __init__(self, what: str, do: str = "", code: Exit = Exit.INVALID) -> None:
        super().__init__(f"{what}\n{do}" if do else what)
        self.what = what
        self.do = do
        self.code = code


class DocumentInvalid(CliError):
    """A document has mistakes: a line each, and perhaps what helps against all of them."""

    def __init__(self, findings: tuple[Finding, ...], do: str = "") -> None:
        super().__init__("\n".join(str(finding) for finding in findings), do)
        self.findings = findings
