"""What a field of a config may hold."""

import dataclasses
import typing
from typing import Any, Literal


def require(ok: bool, field: str, wanted: str, value: object) -> None:
    """ValueError that names the field, unless all is well."""
    if not ok:
        raise ValueError(f"{field}: wanted {wanted}, got {value!r}")


def check_choices(record: Any) -> None:
    """ValueError unless every field annotated `Literal` (or a tuple of it) holds one of its values."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        choices, values = field.type, (value,)
        if typing.get_origin(field.type) is tuple:
            choices, values = typing.get_args(field.type)[0], value
        if typing.get_origin(choices) is Literal:
            options = typing.get_args(choices)
            name = f"{type(record).__name__.lower()}.{field.name}"
            require(all(v in options for v in values), name, f"one of {options}", value)
