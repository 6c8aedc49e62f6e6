"""What the user can mend, told apart from what we must mend."""


class InputError(Exception):
    """Bad input or usage: one line that names the file or option and the fix; exit code 2."""


class UnusableImage(InputError):  # noqa: N818 - it reads as what is raised: an image, unusable
    """An image file that cannot be used, with the reason (`reason`) as rejects list it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
