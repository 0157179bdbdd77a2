"""What the commands `nmos-auth explain`, `doctor` and `keycloak-realm` do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nmos_auth.command import columns, hanging, progress_line, show
from nmos_auth.errors import ConfigurationError
from nmos_auth.operate.doctor import examine
from nmos_auth.operate.explain import explain, list_permissions
from nmos_auth.operate.findings import Finding, as_json, as_lines, exit_code
from nmos_auth.operate.in_process import Request
from nmos_auth.operate.keycloak import PERMISSIONS, keycloak_realm, read_permissions
from nmos_auth.operate.rendering import explanation_json, explanation_lines
from nmos_auth.settings import ENV_FILE, Discovery, Settings

__all__ = ["run"]

# No header of a request may have so many bytes.
_LONGEST_TOKEN = 64 * 1024


def run(options: argparse.Namespace) -> int:
    """Run one of the commands, print its result, and return the exit code.

    Args:
        options: the parsed command line.

    Raises:
        ConfigurationError: the command line, a setting or a file is not valid.
    """
    return _COMMANDS[options.command](options)


def _choose_env_file(options: argparse.Namespace) -> None:
    """Read settings from the file that the command line names."""
    if options.env_file is not None:
        os.environ[ENV_FILE] = options.env_file


def _token(options: argparse.Namespace) -> str | None:
    name = options.token_file
    if name is None:
        return None
    try:
        if name == "-":
            text = sys.stdin.read(_LONGEST_TOKEN + 1)
        else:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(_LONGEST_TOKEN + 1)
    except OSError as error:
        raise ConfigurationError(f"--token-file: {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--token-file: {name} is not text in UTF-8") from None
    if len(text) > _LONGEST_TOKEN:
        raise ConfigurationError(f"--token-file: {name} is too long for an access token")
    token = text.strip()
    for prefix in ("Authorization:", "Bearer "):
        token = token.removeprefix(prefix).strip()
    if not token:
        raise ConfigurationError("--token-file: it is empty")
    return token


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the package, because the findings include them."""
    logger = logging.getLogger("nmos_auth")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _explain(options: argparse.Namespace) -> int:
    _choose_env_file(options)
    token = _token(options)
    if options.list:
        if token is None:
            raise ConfigurationError("--list requires --token-file")
        _print_permissions(list_permissions(token), as_object=options.json)
        return 0
    if not options.method or not options.url:
        raise ConfigurationError("METHOD and URL are required, or --list")
    changes = {} if options.audience is None else {"audience": options.audience}
    request = _request(options)
    clock: Callable[[], float] = time.time
    if options.at is not None:
        clock = lambda: options.at  # noqa: E731 - a clock that stands still
    settings = Settings(**changes)
    if options.offline:
        settings = _offline(settings)
    with _quiet(), progress_line() as progress:
        explanation = asyncio.run(explain(request, token, settings, clock=clock, progress=progress))
    if options.json:
        show(explanation_json(explanation))
    else:
        show(explanation_lines(request, explanation, columns()))
    return explanation.outcome.exit_code


def _request(options: argparse.Namespace) -> Request:
    request = Request(options.method, options.url, root_path=options.root_path)
    try:
        request.scope()
    except ValueError as error:
        raise ConfigurationError(f"URL: {options.url!r} is not a URL: {error}") from None
    return request


def _offline(settings: Settings) -> Settings:
    """Return settings that use the keys of a file, which has the same form, and ask no server."""
    # The keys file is written by a Node, and so it may not exist yet.
    kept = settings.keys_file
    keys = kept if kept is not None and kept.exists() else settings.static_keys_file or kept
    if keys is None:
        raise ConfigurationError(
            "--offline requires keys: set NMOS_AUTH_KEYS_FILE or NMOS_AUTH_STATIC_KEYS_FILE"
        )
    changes = {
        "static_keys_file": keys,
        "keys_file": None,
        "servers": (),
        "trusted_issuers": (),
        "discovery": Discovery.OFF,
    }
    return settings.model_copy(update=changes)


def _print_permissions(lines: Sequence[str], *, as_object: bool) -> None:
    if as_object:
        pairs = (line.partition(": ") for line in lines)
        show(json.dumps({"permissions": {api: what for api, _, what in pairs}}, indent=2))
    else:
        for line in lines:
            show(hanging("", line, columns()))


def _doctor(options: argparse.Namespace) -> int:
    _choose_env_file(options)
    token = _token(options)
    with _quiet():
        findings = asyncio.run(_examined(options.node, token, as_they_come=not options.json))
    if options.json:
        show(as_json(findings))
    return exit_code(findings)


async def _examined(node: str | None, token: str | None, *, as_they_come: bool) -> list[Finding]:
    findings = []
    with progress_line() as progress:
        async for finding in examine(node, token=token, progress=progress):
            findings.append(finding)
            if as_they_come:
                progress("")
                show(as_lines(finding, columns()))
    return findings


def _keycloak_realm(options: argparse.Namespace) -> int:
    permissions = PERMISSIONS
    if options.permissions is not None:
        try:
            permissions = read_permissions(Path(options.permissions).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--permissions: {error}") from None
    realm = keycloak_realm(
        options.realm, options.audience, permissions, hosts=options.registration_hosts
    )
    show(json.dumps(realm, indent=2))
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "explain": _explain,
    "doctor": _doctor,
    "keycloak-realm": _keycloak_realm,
}
