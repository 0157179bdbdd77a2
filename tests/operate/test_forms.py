"""The form of each setting, which `nmos-auth doctor` names as the cure."""

import re

import pytest

from nmos_auth.client import ClientSettings
from nmos_auth.errors import ConfigurationError
from nmos_auth.operate.forms import FORMS, correct_form
from nmos_auth.settings import ENV_FILE, Settings

VARIABLES = {*Settings.variables().values(), *ClientSettings.variables().values(), ENV_FILE}
FREE_TEXT = {"NMOS_AUTH_CLIENT_NAME"}
# Neither a number, a word, a list, a scope or a URL, nor a path where anything may be.
WRONG = "/nowhere/\u00e9 \n"


def test_every_setting_has_a_form() -> None:
    """No cure is missing, and none is for a setting that does not exist."""
    assert set(FORMS) == VARIABLES


@pytest.mark.parametrize("variable", sorted(VARIABLES - FREE_TEXT))
def test_a_wrong_value_has_its_form_as_the_cure(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong, the cure names the variable and what it must be."""
    monkeypatch.setenv(variable, WRONG)
    settings = ClientSettings if variable in ClientSettings.variables().values() else Settings
    with pytest.raises(ConfigurationError) as caught:
        settings()
    assert f"{variable} must be {FORMS[variable]}" in correct_form(str(caught.value))


@pytest.mark.parametrize(
    ("variable", "choices"),
    [
        (variable, re.split(r", | or ", form))
        for variable, form in FORMS.items()
        if re.fullmatch(r"[a-z_-]+(, [a-z_-]+)* or [a-z_-]+", form)
    ],
)
def test_choices_are_those_that_there_are(
    variable: str, choices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A form that lists words lists words that are not refused."""
    for choice in choices:
        monkeypatch.setenv(variable, choice)
        for settings in (Settings, ClientSettings):
            try:
                settings()
            except ConfigurationError as error:
                assert "is not one of" not in str(error)  # noqa: PT017 - another setting is missing


def test_all_wrong_values_are_cured_at_once() -> None:
    """A message about two settings has two cures."""
    cure = correct_form("NMOS_AUTH_LEEWAY: '-1' is out of range; NMOS_AUTH_ENABLED: 'x' is not")
    assert cure == (
        "NMOS_AUTH_LEEWAY must be a number of seconds from 0 to 300;"
        " NMOS_AUTH_ENABLED must be true or false"
    )
