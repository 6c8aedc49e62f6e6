"""What parameters are made of: sections that check themselves and tell in a line what is wrong."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from srntt_pipeline.errors import InputError
from srntt_pipeline.text import shortened, valid

# Upper bounds are far above what is useful, and keep a slip of the finger from asking for more
# memory than there is, for numbers that float32 lacks, or for a run that never ends.
MOST_COUNT = 10**9  # of what data sets hold; fits any integer type
_MOST_STEPS = 10**7  # three hundred times the paper's
_LONGEST_TEXT = 4096  # characters: the longest path there is
_SHOWN = 5  # of what is wrong

Headings = Mapping[str, tuple[str, ...]]  # of help, with the fields under each
OPTIONS = "Options"  # the heading of what has no other

Steps = Annotated[int, Field(ge=0, le=_MOST_STEPS)]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="Seed every random choice of this stage.")]
# Of a field that is a list of texts: one text stands for a list of it, `protocol: luma`.
ONE_OR_MORE = BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)


class Section(BaseModel):
    """Parameters of one stage: immutable, no unknown keys; descriptions are the CLI's help."""

    # Defaults are validated too: as a float, 100 must be the 100.0 that it is when it is given, or
    # files made from equal parameters would not be taken for equal.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    # Headings of help and the fields under each, in this order; a base's come before a subclass's.
    headings: ClassVar[Headings] = {}
    # The heading of fields that none names.
    heading: ClassVar[str] = OPTIONS

    @classmethod
    def headings_of_fields(cls) -> dict[str, str]:
        """Return the heading of each field, in the order of the headings."""
        order = dict.fromkeys(
            heading
            for base in reversed(cls.__mro__)
            for heading in (vars(base).get("heading"), *vars(base).get("headings", {}))
            if heading
        )
        named = {
            field: heading
            for base in reversed(cls.__mro__)
            for heading, fields in vars(base).get("headings", {}).items()
            for field in fields
        }
        found = {field: named.get(field, cls.heading) for field in cls.shown_fields()}
        return dict(sorted(found.items(), key=lambda each: list(order).index(each[1])))

    @classmethod
    def shown_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields in the order of help and docs."""
        return cls.model_fields

    @model_validator(mode="after")
    def _texts(self) -> "Section":
        for name in type(self).model_fields:
            value = getattr(self, name)
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and (wrong := _wrong(text)):
                    raise ValueError(f"{name}: the text {wrong}")
        return self


def _wrong(text: str) -> str | None:
    """Return what keeps a text from being written to files, or from being a path."""
    if "\0" in text:
        return "holds a NUL"
    if len(text) > _LONGEST_TEXT:
        return f"is longer than {_LONGEST_TEXT} characters"
    return None if text == valid(text) else "is not valid UTF-8"


SectionType = TypeVar("SectionType", bound=Section)


def validate(model: type[SectionType], content: object, source: str) -> SectionType:
    """Return `content` as `model`, or raise InputError: a line that starts with `source`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [_explain(model, problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"and {len(problems) - _SHOWN} more")
        raise InputError(f"{source}: {'; '.join(lines)}") from None


def _shown(given: object) -> str:
    try:
        return shortened(repr(given), 80)
    except ValueError:  # Python prints no integer of more than 4,300 digits
        return "a number of thousands of digits"


def _explain(model: type[Section], problem: Mapping[str, Any]) -> str:
    place = [shortened(str(part), 60) for part in problem["loc"]]
    key = ".".join(place)
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ")
        given = problem.get("input")
        shown = f" (got {_shown(given)})" if isinstance(given, str | int | float | list) else ""
        where = f"{key}: " if key else ""
        return f"{where}{message[:1].lower()}{message[1:]}{shown}"
    for part in place[:-1]:
        model = model.model_fields[part].annotation  # type: ignore[assignment]
    known = list(model.model_fields)
    close = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
    meant = ".".join([*place[:-1], *close])
    hint = f"did you mean {meant}?" if close else f"known here: {', '.join(known)}"
    return f"{key} is not a parameter; {hint}"
