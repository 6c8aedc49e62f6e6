"""What the user can mend, told apart from what we must mend."""

from pydantic import ValidationError


class InputError(Exception):
    """Bad input or usage: one line that names the file or option and the fix; exit code 2."""


class UnusableImage(InputError):  # noqa: N818 - it reads as what is raised: an image, unusable
    """An image file that cannot be used, with the reason (`reason`) as rejects list it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong, on one line, without what a stranger wrote there."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return one_line(f"{place}: {first['msg']}" if place else first["msg"])


def one_line(text: str) -> str:
    """Return `text` as a short line without control codes."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:300]
