"""From an issuer to its keys, and what it means where that fails."""

from __future__ import annotations

import logging

import pytest

from nmos_auth.errors import FetchError, KeySetError, MetadataError
from nmos_auth.servers.answers import Document
from nmos_auth.servers.server_metadata import IssuerRules
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.published import Published, Unpublished, fetch_keys
from tests.support.tokens import signing_key

ISSUER = "https://auth.example.com"
PLACE = IssuerUrl.parse(ISSUER)
CONFIGURED = IssuerRules()
NEIGHBOUR = IssuerRules(allow_openid=False, own_host_only=True)

OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
OPENID = f"{ISSUER}/.well-known/openid-configuration"
JWKS = f"{ISSUER}/jwks"
METADATA: dict[str, object] = {"issuer": ISSUER, "jwks_uri": JWKS}
KEY_SET: dict[str, object] = {"keys": [signing_key(0).jwk()]}


class Web:
    """Documents by URL; an integer is an HTTP status, and 0 means that no answer comes."""

    def __init__(self, documents: dict[str, object]) -> None:
        self._documents = documents
        self.asked: list[str] = []

    async def get_document(self, url: str) -> Document:
        """Answer one request."""
        self.asked.append(url)
        found = self._documents.get(url, 404)
        if isinstance(found, int):
            raise FetchError(f"{found}", status=found or None)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Document):
            return found
        assert isinstance(found, dict)
        return Document(found)


async def fetch(
    web: Web, rules: IssuerRules = CONFIGURED, place: IssuerUrl = PLACE
) -> Published | Unpublished:
    """Fetch the keys of an issuer."""
    return await fetch_keys(web.get_document, place, rules)


async def test_metadata_leads_to_keys() -> None:
    """The keys come with the time of the answer that brought them, and not of the metadata's."""
    web = Web({OAUTH: Document(METADATA, date=7), JWKS: Document(KEY_SET, date=1000)})
    published = await fetch(web)
    assert isinstance(published, Published)
    assert [key.kid for key in published.key_set.keys] == ["key-0"]
    assert published.date == 1000
    assert web.asked == [OAUTH, JWKS]


@pytest.mark.parametrize(
    ("date", "is_fresh", "offset"), [(107.0, True, 7), (107.0, False, None), (None, True, None)]
)
async def test_how_far_a_clock_is_off_is_told_by_fresh_answers(
    date: float | None, offset: float | None, *, is_fresh: bool
) -> None:
    """What a cache had for a while has the time of before."""
    document = Document(KEY_SET, date=date, is_fresh=is_fresh)
    published = await fetch(Web({OAUTH: METADATA, JWKS: document}))
    assert isinstance(published, Published)
    assert published.offset_from(100) == offset


async def test_openid_metadata_will_do_where_there_is_no_other() -> None:
    """A configured issuer that only knows OpenID Connect Discovery."""
    web = Web({OPENID: METADATA, JWKS: KEY_SET})
    assert isinstance(await fetch(web), Published)
    assert web.asked == [OAUTH, OPENID, JWKS]


async def test_openid_metadata_is_appended_to_the_path() -> None:
    """OpenID Connect Discovery 1.0 Section 4, which RFC 8414 Section 5 tells from its own way."""
    issuer = f"{ISSUER}/nmos"
    openid = f"{issuer}/.well-known/openid-configuration"
    web = Web({openid: {"issuer": issuer, "jwks_uri": JWKS}, JWKS: KEY_SET})
    assert isinstance(await fetch(web, place=IssuerUrl.parse(issuer)), Published)


async def test_openid_metadata_never_does_for_neighbours() -> None:
    """They are asked for RFC 8414 metadata, and for nothing else."""
    web = Web({OPENID: METADATA, JWKS: KEY_SET})
    assert isinstance(await fetch(web, NEIGHBOUR), Unpublished)
    assert web.asked == [OAUTH]


async def test_openid_metadata_is_no_way_round_the_issuer() -> None:
    """RFC 8414 Section 3.3 holds for it as well."""
    web = Web({OPENID: {**METADATA, "issuer": f"{ISSUER}/"}, JWKS: KEY_SET})
    assert isinstance(await fetch(web), Unpublished)
    assert JWKS not in web.asked


async def test_lying_metadata_leads_nowhere() -> None:
    """Nothing that it names is asked for anything."""
    lie = {"issuer": "https://evil.example", "jwks_uri": "https://evil.example"}
    web = Web({OAUTH: lie})
    assert isinstance(await fetch(web), Unpublished)
    assert web.asked == [OAUTH, OPENID]


# A neighbour's media types

TYPES = ["application/json", "application/jwk-set+json", "text/plain", "text/html", ""]


@pytest.mark.parametrize("media_type", TYPES)
async def test_metadata_of_a_neighbour_is_json_by_its_media_type(media_type: str) -> None:
    """RFC 8414 Section 3.2: what others may upload to its host is served as something else."""
    web = Web({OAUTH: Document(METADATA, media_type), JWKS: KEY_SET})
    good = media_type == "application/json"
    assert isinstance(await fetch(web, NEIGHBOUR), Published) is good
    assert web.asked == ([OAUTH, JWKS] if good else [OAUTH])


@pytest.mark.parametrize("media_type", TYPES)
async def test_keys_of_a_neighbour_are_a_key_set_by_their_media_type(media_type: str) -> None:
    """RFC 7517 Section 8.5.1, or plain JSON."""
    web = Web({OAUTH: METADATA, JWKS: Document(KEY_SET, media_type)})
    good = media_type in {"application/json", "application/jwk-set+json"}
    assert isinstance(await fetch(web, NEIGHBOUR), Published) is good


@pytest.mark.parametrize("media_type", TYPES)
async def test_documents_of_members_are_read_whatever_their_type(media_type: str) -> None:
    """Design, Trust; some servers have no type for what has no extension."""
    web = Web({OAUTH: Document(METADATA, media_type), JWKS: Document(KEY_SET, media_type)})
    assert isinstance(await fetch(web), Published)


# What a failure means

OTHER = {**METADATA, "issuer": "https://auth.example.com:8443"}
FOREIGN = {**METADATA, "jwks_uri": "https://keys.example.com/"}


@pytest.mark.parametrize(
    ("metadata", "answered", "disowned"),
    [
        (0, False, False),
        (500, False, False),
        (503, False, False),
        (429, False, False),
        (499, True, False),
        (301, True, False),
        (401, True, False),
        (403, True, False),
        (404, True, True),
        (410, True, True),
        (200, True, True),
        pytest.param(OTHER, True, True, id="another issuer"),
        pytest.param(FOREIGN, True, True, id="another host's keys"),
        pytest.param(Document(METADATA, "text/plain"), True, True, id="plain text"),
        pytest.param(RuntimeError("a mishap"), False, False, id="a mishap"),
    ],
)
async def test_what_failing_metadata_means(
    metadata: object, *, answered: bool, disowned: bool
) -> None:
    """Trouble says nothing of an issuer; 404, 410 or something else for its metadata does."""
    failure = await fetch(Web({OAUTH: metadata, JWKS: KEY_SET}), NEIGHBOUR)
    assert isinstance(failure, Unpublished)
    assert failure.document == "metadata"
    assert (failure.answered, failure.disowned) == (answered, disowned)


@pytest.mark.parametrize(
    ("keys", "answered"),
    [
        (0, False),
        (500, False),
        (429, False),
        (404, True),
        (200, True),
        pytest.param({}, True, id="no key set"),
        pytest.param(Document(KEY_SET, "text/plain"), True, id="plain text"),
    ],
)
async def test_what_failing_keys_mean(keys: object, *, answered: bool) -> None:
    """Whatever is wrong with them, the metadata still says whose they are."""
    failure = await fetch(Web({OAUTH: METADATA, JWKS: keys}), NEIGHBOUR)
    assert isinstance(failure, Unpublished)
    assert failure.document == "keys"
    assert (failure.answered, failure.disowned) == (answered, False)


async def test_what_nobody_expected_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It ends no fetching."""
    with caplog.at_level(logging.ERROR, "nmos_auth"):
        failure = await fetch(Web({OAUTH: RuntimeError("a mishap")}))
    assert isinstance(failure, Unpublished)
    assert "a mishap" in caplog.text


# Metadata that names another issuer


@pytest.mark.parametrize(
    ("named", "names"),
    [
        (f"{ISSUER}/auth/realms/master", f"{ISSUER}/auth/realms/master"),
        (f"{ISSUER}:443/auth/realms/master", f"{ISSUER}:443/auth/realms/master"),
        (f"{ISSUER}/", f"{ISSUER}/"),
        (f"{ISSUER}:443", f"{ISSUER}:443"),
        (f"{ISSUER}:8443/auth/realms/master", None),
        ("http://auth.example.com/auth/realms/master", None),
        ("https://evil.example.com/auth/realms/master", None),
        (f"{ISSUER}/../master", None),
        (7, None),
        (None, None),
    ],
)
async def test_metadata_may_name_another_issuer_of_the_very_same_origin(
    named: object, names: str | None
) -> None:
    """As a proxy in front of Keycloak does (AMWA INFO-002); nothing is fetched for that alone."""
    web = Web({OAUTH: {"issuer": named, "jwks_uri": JWKS}, JWKS: KEY_SET})
    failure = await fetch(web)
    assert isinstance(failure, Unpublished)
    assert isinstance(failure.error, MetadataError)
    assert failure.names == names
    assert JWKS not in web.asked


async def test_openid_metadata_names_nobody_else() -> None:
    """Only what is at an RFC 8414 place does."""
    other = {"issuer": f"{ISSUER}/auth/realms/master", "jwks_uri": JWKS}
    failure = await fetch(Web({OPENID: other, JWKS: KEY_SET}))
    assert isinstance(failure, Unpublished)
    assert failure.names is None


async def test_metadata_of_its_own_names_nobody_else() -> None:
    """Nor where it cannot be used for another reason."""
    failure = await fetch(Web({OAUTH: {"issuer": ISSUER, "jwks_uri": 7}}))
    assert isinstance(failure, Unpublished)
    assert failure.names is None


async def test_a_key_set_that_is_none_is_an_error_of_its_own() -> None:
    """The metadata was right."""
    failure = await fetch(Web({OAUTH: METADATA, JWKS: {"keys": {}}}))
    assert isinstance(failure, Unpublished)
    assert isinstance(failure.error, KeySetError)
