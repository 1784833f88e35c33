"""Turns what pydantic found into sentences for the user."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from xclip_stream.config.problems import Location, Problem
from xclip_stream.config.suggestions import did_you_mean

Context = Mapping[str, Any]

_SENTENCES: Final[Mapping[str, Callable[[Context], str]]] = {
    "missing": lambda _: "is missing",
    "string_type": lambda _: "must be text; put it in quotes",
    "string_pattern_mismatch": lambda _: (
        "must be a name of at most 64 letters, digits, dots, dashes and underscores that begins with a letter or digit"
    ),
    "string_too_short": lambda _: "is empty",
    "string_too_long": lambda context: f"is longer than {context['max_length']} characters",
    "too_short": lambda _: "is empty: it needs at least one",
    "too_long": lambda context: f"has more than {context['max_length']} entries",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "tuple_type": lambda _: "must be a list",
    "list_type": lambda _: "must be a list",
    "mapping_type": lambda _: "must be a mapping: keys with values",
    "dict_type": lambda _: "must be a mapping: keys with values",
    "model_type": lambda _: "must be a mapping: keys with values",
    "model_attributes_type": lambda _: "must be a mapping: keys with values",
    "path_type": lambda _: "must be the path of a file",
    "byte_size": lambda _: "must be a number of bytes, like 268435456 or 256MiB",
    "byte_size_unit": lambda _: "has an unknown unit: write it like 256MiB or 1GB",
    "union_tag_not_found": lambda _: "type is missing",
    "literal_error": lambda context: f"must be {context['expected']}",
    "timezone_aware": lambda _: "needs a time zone: write it like '2024-05-01T08:00:00Z'",
    "datetime_parsing": lambda _: "must be a time like '2024-05-01T08:00:00Z'",
    "datetime_from_date_parsing": lambda _: "must be a time like '2024-05-01T08:00:00Z'",
    "value_error": lambda context: str(context["error"]),
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Yield a problem for each thing that pydantic found in a value of `model`."""
    details = error.errors(include_url=False)
    seen: set[Location] = set()
    for detail in details:
        problem = _problem(detail, model)
        # A choice of two types (a text or a list) complains once for each, and a list whose entries are all wrong
        # complains that it is empty too.
        is_echo = problem.location in seen or (detail["type"] == "too_short" and detail["input"])
        if not is_echo:
            seen.add(problem.location)
            yield problem


def _problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    location, section = _resolve(tuple(detail["loc"]), model)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = _keys(section)
            hint = did_you_mean(str(location[-1]), known) or f"; the keys here are {', '.join(known)}"
            return Problem(location, f"unknown key{hint}", of_key=True)
        case "union_tag_invalid":
            known = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
            hint = did_you_mean(str(context["tag"]), known)
            return Problem((*location, "type"), f"must be {_listed(known)}{hint}")
        case "literal_error":
            known = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
            given = detail["input"]
            if str(given) in known:
                is_text = isinstance(given, str)
                return Problem(
                    location, "must be a number; leave out the quotes" if is_text else "must be text; put it in quotes"
                )
            hint = did_you_mean(given, known) if isinstance(given, str) else ""
            return Problem(location, f"must be {_listed(known)}{hint}")
        case kind if kind in _SENTENCES:
            return Problem(location, _SENTENCES[kind](context))
    return Problem(location, detail["msg"][0].lower() + detail["msg"][1:])


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _resolve(location: Location, model: type[BaseModel]) -> tuple[Location, type[BaseModel]]:
    """Return the location without what pydantic adds (tags and types of a choice), and the section that it is in."""
    path: list[str | int] = []
    section: type[BaseModel] | None = model
    choices: list[type[BaseModel]] = []
    leaf = False
    for part in location:
        if choices and isinstance(part, str) and path and isinstance(path[-1], int):
            section, choices = _tagged(choices, part), []
            continue
        if leaf and isinstance(part, str) and not _is_mapping_key(part):
            continue
        path.append(part)
        if isinstance(part, str) and section is not None:
            found = _sections_in(section, part)
            choices = found if len(found) > 1 else []
            section, leaf = (found[0], False) if len(found) == 1 else (section, not found)
    return tuple(path), section or model


def _is_mapping_key(part: str) -> bool:
    return "[" not in part and part not in {"str", "tuple"}


def _tagged(choices: list[type[BaseModel]], tag: str) -> type[BaseModel]:
    return next(choice for choice in choices if tag in get_args(choice.model_fields["type"].annotation))


def _sections_in(section: type[BaseModel], key: str) -> list[type[BaseModel]]:
    """Return the models that stand under a key."""
    fields = {field.alias or name: field for name, field in section.model_fields.items()}
    return list(_models(fields[key].annotation)) if key in fields else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _keys(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]
