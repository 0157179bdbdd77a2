"""Where settings come from: the environment, and the file that NMOS_AUTH_ENV_FILE names."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.private_files import FileRefused, PrivateFile

__all__ = [
    "ENV_FILE",
    "PREFIX",
    "EnvironmentSettings",
    "described",
    "effective_environment",
    "with_suggestion",
]

PREFIX = "NMOS_AUTH_"
ENV_FILE = "NMOS_AUTH_ENV_FILE"

# What pydantic says about a value that is not a secret, and the text to use instead.
_NOT_ONE_OF = frozenset({"enum", "literal_error"})
_NOT_A_NUMBER = frozenset(
    {"finite_number", "float_parsing", "float_type", "int_parsing", "int_type"}
)
_OUT_OF_RANGE = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})


class EnvironmentSettings(BaseSettings):
    """Settings from the environment and the env file, unless given by name.

    Raises:
        ConfigurationError: a value is wrong; the message names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic checks every one
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(self._describe(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment, and the env file for variables that it does not set."""
        if isinstance(env_settings, EnvSettingsSource):
            added = {name.lower(): value for name, value in _of_file().items()}
            env_settings.env_vars = {**added, **env_settings.env_vars}
        return init_settings, env_settings

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Return the variable of each setting, by the setting's name."""
        prefix = cls.model_config.get("env_prefix") or ""
        return {
            name: field.validation_alias
            if isinstance(field.validation_alias, str)
            else f"{prefix}{name.upper()}"
            for name, field in cls.model_fields.items()
        }

    @classmethod
    def _describe(cls, error: ValidationError) -> str:
        problems = error.errors(include_url=False)
        return "; ".join(f"{cls._variable(each)}{described(each)}" for each in problems)

    @classmethod
    def _variable(cls, problem: ErrorDetails) -> str:
        if not problem["loc"]:
            return ""
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            return f"{with_suggestion(name, cls.model_fields)}: "
        return f"{cls.variables().get(name, name)}: "


def effective_environment() -> dict[str, str]:
    """Return the variables of the environment, and those that only the env file sets.

    Raises:
        ConfigurationError: the env file may not be used, or is missing.
    """
    return {**_of_file(), **os.environ}


def with_suggestion(name: str, known: Iterable[str]) -> str:
    """Return an unknown name, with the known one that was probably meant."""
    by_rest = {each.removeprefix(PREFIX): each for each in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), by_rest, n=1)
    return f"{name} (did you mean {by_rest[close[0]]}?)" if close else name


def _of_file() -> dict[str, str]:
    """Return the variables of the env file; a `$` in a value is not expanded."""
    if not (path := os.environ.get(ENV_FILE)):
        return {}
    try:
        file = PrivateFile(Path(path), setting=ENV_FILE, secret=True)
        values = dotenv_values(stream=io.StringIO(file.read().decode()), interpolate=False)
        if any(name.startswith(PREFIX) for name in values):
            file.keep_private()
    except FileNotFoundError:
        raise ConfigurationError(f"{ENV_FILE}: {path} does not exist") from None
    except FileRefused as error:
        raise ConfigurationError(str(error)) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{ENV_FILE}: {path} is not text in UTF-8") from None
    return {name: value for name, value in values.items() if value}


def described(problem: ErrorDetails) -> str:
    """Return what is wrong with a value; the text shows the value only if it is not a secret."""
    kind, value = problem["type"], problem["input"]
    said = problem["msg"]
    if kind == "extra_forbidden":
        return "this setting does not exist"
    if kind == "bool_parsing":
        wrong = "is not one of true, false"
    elif kind in _NOT_ONE_OF:
        allowed = str(problem.get("ctx", {}).get("expected", ""))
        wrong = f"is not one of {allowed.replace(' or ', ', ').replace(chr(39), '')}"
    elif kind in _NOT_A_NUMBER:
        wrong = "is not a number"
    elif kind == "path_not_file":
        return f"{str(value)!r} is not a file"
    elif kind in _OUT_OF_RANGE:
        wrong = f"is out of range; it must {said.partition(' should ')[2]}"
    else:
        return said.removeprefix("Value error, ")
    return f"{value!r} {wrong}"
