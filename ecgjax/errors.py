"""The one exception for input that a user can put right."""


class InputError(ValueError):
    """Bad input: what was expected and came, and what to do. Commands print it on one line and exit with 2."""

    def __init__(self, problem: str, remedy: str):
        super().__init__(f"{problem}; {remedy}")
        self._parts = problem, remedy

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        # As an exception that takes two arguments and holds one text, it could not come back from another process.
        return InputError, self._parts
