"""The arguments of a tool: what is accepted, as JSON Schema, and what is wrong, in a sentence.

A general validator quotes the argument that it refuses, which a tool must not. The schemas here
need few words of JSON Schema, so each has a sentence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokviz.errors import InputError
from tokviz.names import did_you_mean

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (Mapping,),
    "array": (list,),
}
ARTICLES = {
    "integer": "a whole number",
    "object": "an object",
    "array": "a list",
    "boolean": "true or false",
}


def check_arguments(tool: str, schema: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise InputError, which quotes nothing, unless the arguments fit a tool's schema."""
    known = schema["properties"]
    for name in given:
        if name not in known:
            guess = did_you_mean(name, known)
            raise InputError(
                f"{tool} has no argument of one of the names that were sent.{guess} "
                f"It takes {', '.join(known) or 'none'}."
            )
    for name in schema.get("required", ()):
        if name not in given:
            raise InputError(f"{tool} needs the argument {name}, which was not sent.")
    for name, value in given.items():
        for wrong in faults(name, known[name], value):
            raise InputError(wrong)


def faults(name: str, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield what is wrong with one argument, the type first."""
    kinds = [one["type"] for one in schema.get("anyOf", [schema])]
    if not any(is_a(kind, value) for kind in kinds):
        wanted = " or ".join(ARTICLES.get(kind, f"a {kind}") for kind in kinds)
        yield f"{name} must be {wanted}."
        return
    yield from out_of_bounds(name, schema, value)
    if "enum" in schema and value not in schema["enum"]:
        yield wrong_name(name, schema["enum"], value)
    if isinstance(value, Mapping) and (inner := schema.get("additionalProperties")):
        for one in value.values():
            yield from faults(f"each value of {name}", inner, one)
    if isinstance(value, list):
        yield from faults_of_list(name, schema, value)


def faults_of_list(name: str, schema: Mapping[str, Any], value: list[Any]) -> Iterator[str]:
    """Yield what is wrong with a list: its length first."""
    most = schema.get("maxItems", len(value))
    if len(value) > most:
        yield f"{name} must have at most {most:,} entries, got {len(value):,}."
        return
    for one in value:
        yield from faults(f"each of {name}", schema.get("items", {}), one)


def is_a(kind: str, value: Any) -> bool:
    """Return whether a value of JSON has a type of JSON Schema; 9.0 is a whole number there."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind])


def out_of_bounds(name: str, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield what is wrong with a number's size or a text's length."""
    if "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        yield f"{name} must be {schema['minimum']:,} to {schema['maximum']:,}."
    if isinstance(value, str):
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(value))
        if not least <= len(value) <= most:
            yield f"{name} must have {least:,} to {most:,} characters, got {len(value):,}."


def wrong_name(name: str, known: list[str], value: str) -> str:
    """Return the sentence about a name that is none of those in a list."""
    listed = [one for one in known if one]
    few = f" Known: {', '.join(listed)}." if len(listed) < 10 else f" The tool {name}s lists them."
    return f"there is no {name} of this name.{did_you_mean(value, listed)}{few}"
