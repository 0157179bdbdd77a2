"""What widespread Authorization Servers answer, by public documentation: one row for each.

A row has what differs: `{issuer}` and `{origin}` stand for URLs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AUDIENCE", "PRODUCTS", "Product", "Refusal"]

Members = dict[str, object]

AUDIENCE = "https://node1.example.com"
OAUTH = "oauth-authorization-server"
OPENID = "openid-configuration"
HTML = "<!doctype html><title>Sign in</title>"


@dataclass(frozen=True)
class Refusal:
    """What the token endpoint says to a client that it does not know.

    Attributes:
        status: the status.
        document: the body.
        code: what a client gets to know of it as the error code.
    """

    status: int
    document: Members
    code: str | None


NO_CLIENT_ID = 401, "claim 'client_id' is absent"
# What stands there are clients and projects, and no name of a server.
OTHER_AUDIENCE = 403, "aud is"
INVALID_CLIENT = Refusal(401, {"error": "invalid_client"}, "invalid_client")


@dataclass(frozen=True)
class Product:
    """One Authorization Server.

    Attributes:
        name: what it is called.
        sources: the documents that this row is from, by title and section.
        path: of the issuer, after host and port.
        places: where it has metadata.
        missing: status, body and headers of what it answers where it has nothing.
        metadata: members of its metadata beside `issuer`.
        keys: members of its keys beside `kty`, `n` and `e`; the first one signs access tokens.
        header: members of a token's header beside `alg` and `kid`.
        claims: what its tokens say beside `iss`, `iat`, `exp` and the claims of NMOS.
        algorithm: what it signs access tokens with: RS512 where that can be configured.
        refused: status and words of the audit log, where its tokens would be refused even if they
            were signed with RS512 and had the claims of NMOS; None where they would not.
        client: settings of a Client beside the usual ones.
        issued: members of its answer beside `access_token`.
        registered: status and members of its answer to a registration beside `client_id`; None
            where it registers no clients.
        managed: the path of a registration's management URL, or "" where there is none.
        refusal: what it says to a client that it does not know.
    """

    name: str
    sources: tuple[str, ...]
    path: str
    metadata: Members
    claims: Members
    issued: Members
    places: tuple[str, ...] = (OPENID,)
    missing: tuple[int, str, dict[str, str]] = (404, "", {})
    keys: tuple[Members, ...] = ({"use": "sig", "alg": "RS512", "kid": "1"},)
    header: Members = field(default_factory=lambda: {"typ": "JWT"})
    algorithm: str = "RS512"
    refused: tuple[int, str] | None = None
    client: Members = field(default_factory=dict)
    registered: tuple[int, Members] | None = None
    managed: str = ""
    refusal: Refusal = INVALID_CLIENT


PRODUCTS = [
    Product(
        name="Keycloak",
        sources=(
            "Keycloak, Securing applications and services guide: Using OpenID Connect",
            "Keycloak, Securing applications and services guide: Client registration service",
            "Keycloak, Server Administration Guide: Configuring realm keys",
        ),
        path="/realms/plant",
        missing=(404, '{"error":"Unable to find matching target resource method"}', {}),
        metadata={
            "jwks_uri": "{issuer}/protocol/openid-connect/certs",
            "token_endpoint": "{issuer}/protocol/openid-connect/token",
            "registration_endpoint": "{issuer}/clients-registrations/openid-connect",
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": [
                "private_key_jwt",
                "client_secret_basic",
                "client_secret_post",
                "tls_client_auth",
                "client_secret_jwt",
            ],
            "mtls_endpoint_aliases": {"token_endpoint": "{issuer}/protocol/openid-connect/token"},
            "authorization_response_iss_parameter_supported": True,
        },
        # Each realm has a key for encryption too, and keeps the one for RS256.
        keys=(
            {"use": "sig", "alg": "RS512", "kid": "signs", "x5c": ["MII="], "x5t#S256": "-Yj4"},
            {"use": "sig", "alg": "RS256", "kid": "default", "x5c": ["MII="], "x5t": "Xs"},
            {"use": "enc", "alg": "RSA-OAEP", "kid": "enc", "x5c": ["MII="]},
        ),
        claims={
            "jti": "trrtcc:1",
            "aud": [AUDIENCE, "account"],
            "sub": "9c1f2a",
            "typ": "Bearer",
            "azp": "node-1",
            "acr": "1",
            "allowed-origins": ["/*"],
            "realm_access": {"roles": ["offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "profile email registration",
            "clientHost": "192.0.2.7",
        },
        issued={
            "expires_in": 300,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "profile email registration",
        },
        registered=(
            201,
            {
                "client_secret": "of-the-client",
                "client_id_issued_at": 1700000000,
                "client_secret_expires_at": 0,
                "subject_type": "public",
                "tls_client_certificate_bound_access_tokens": False,
                "registration_access_token": "of-the-registration",
            },
        ),
        managed="/clients-registrations/openid-connect/{client_id}",
        # The credentials are wrong; a client that is not there is `invalid_client`.
        refusal=Refusal(
            401,
            {
                "error": "unauthorized_client",
                "error_description": "Invalid client or Invalid client credentials",
            },
            "unauthorized_client",
        ),
    ),
    Product(
        name="Microsoft Entra ID",
        sources=(
            "Microsoft identity platform: Access token claims reference",
            "Microsoft identity platform: OpenID Connect, Fetch the OpenID configuration document",
            "Microsoft identity platform: Client credentials flow, Get a token",
            "Microsoft identity platform: Authentication and authorization error codes",
        ),
        path="/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0",
        missing=(404, HTML, {"content-type": "text/html"}),
        metadata={
            "jwks_uri": "{origin}/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/discovery/v2.0/keys",
            "token_endpoint": "{origin}/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "userinfo_endpoint": "https://graph.example.com/oidc/userinfo",
            "subject_types_supported": ["pairwise"],
        },
        # Keys say nothing of an algorithm, and whose they are.
        keys=(
            {
                "use": "sig",
                "kid": "nOo3ZDrODXEK1jKWhXslHR_KXEg",
                "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg",
                "x5c": ["MII="],
                "issuer": "{issuer}",
            },
        ),
        header={"typ": "JWT", "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg"},
        claims={
            "aud": AUDIENCE,
            "azp": "535fb089-9ff3-47b6-9bfb-4f1264799865",
            "azpacr": "1",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "sub": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "tid": "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
            "roles": ["registration"],
            "scp": "registration",
            "uti": "1",
            "rh": "0.",
            "ver": "2.0",
            "nbf": 1,
        },
        algorithm="RS256",
        client={
            "scope": "api://nodes/.default",
            "credentials_scope": "*",
            "id": "535fb089-9ff3-47b6-9bfb-4f1264799865",
            "secret": "of-the-client",
        },
        issued={"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599},
        refusal=Refusal(
            401,
            {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: 2",
                "error_codes": [7000215],
                "timestamp": "2026-01-09 02:02:12Z",
                "trace_id": "255d1aef-8c98-452f-ac51-23d051240864",
                "correlation_id": "fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7",
                "error_uri": "{origin}/error?code=7000215",
            },
            "invalid_client",
        ),
    ),
    Product(
        name="Microsoft Entra ID, version 1.0",
        sources=(
            "Microsoft identity platform: Access token claims reference, v1.0 basic claims",
            "Azure Active Directory v1.0 for developers: Service-to-service access token response",
        ),
        path="/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/",
        metadata={
            "jwks_uri": "{origin}/common/discovery/keys",
            "token_endpoint": "{origin}/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/oauth2/token",
        },
        keys=({"use": "sig", "kid": "nOo3", "x5t": "nOo3", "x5c": ["MII="]},),
        header={"typ": "JWT", "x5t": "nOo3"},
        claims={"aud": AUDIENCE, "appid": "535fb089", "appidacr": "1", "sub": "6902", "ver": "1.0"},
        algorithm="RS256",
        client={"id": "535fb089-9ff3-47b6-9bfb-4f1264799865", "secret": "of-the-client"},
        # Numbers are texts here.
        refused=NO_CLIENT_ID,
        issued={
            "token_type": "Bearer",
            "expires_in": "3599",
            "ext_expires_in": "3599",
            "expires_on": "1388452167",
            "not_before": "1388448267",
            "resource": "https://node1.example.com",
        },
    ),
    Product(
        name="Okta",
        sources=(
            "Okta, OpenID Connect & OAuth 2.0 API: Access Token, Reserved claims",
            "Okta, Dynamic Client Registration API: Register new client",
        ),
        path="/oauth2/default",
        places=(OPENID, f"{OAUTH} behind the issuer"),
        missing=(
            404,
            '{"errorCode":"E0000007","errorSummary":"Not found: Resource not found"}',
            {},
        ),
        metadata={
            "jwks_uri": "{issuer}/v1/keys",
            "token_endpoint": "{issuer}/v1/token",
            "registration_endpoint": "{origin}/oauth2/v1/clients",
            "code_challenge_methods_supported": ["S256"],
        },
        keys=({"use": "sig", "alg": "RS256", "kid": "45js03w0djwedsw"},),
        header={},
        claims={
            "ver": 1,
            "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
            "aud": AUDIENCE,
            "sub": "00ujmkLgagxeRrAg20g3",
            "cid": "nmdP1fcyvdVO11AL7ECm",
            "uid": "00ujmkLgagxeRrAg20g3",
            "scp": ["registration"],
        },
        algorithm="RS256",
        client={"initial_access_token": "of-an-administrator"},
        refused=NO_CLIENT_ID,
        issued={"token_type": "Bearer", "expires_in": 3600, "scope": "registration"},
        registered=(
            201,
            {
                "client_secret": "of-the-client",
                "client_id_issued_at": 1453913425,
                "client_secret_expires_at": 0,
                "client_uri": None,
                "logo_uri": None,
                "application_type": "service",
            },
        ),
        refusal=Refusal(
            401,
            {"errorCode": "E0000011", "errorSummary": "Invalid token provided", "errorCauses": []},
            None,
        ),
    ),
    Product(
        name="Auth0",
        sources=(
            "Auth0, Access Token Profiles: Auth0 profile sample token",
            "Auth0, JSON Web Key Set Properties",
            "Auth0, Dynamic Application Registration",
            "Auth0, Signing Algorithms",
        ),
        path="/",
        metadata={
            "jwks_uri": "{issuer}.well-known/jwks.json",
            "token_endpoint": "{issuer}oauth/token",
            "registration_endpoint": "{issuer}oidc/register",
            "code_challenge_methods_supported": ["S256", "plain"],
        },
        keys=(
            {"use": "sig", "alg": "RS256", "kid": "NjVBRjY5", "x5t": "NjVBRjY5", "x5c": ["MII="]},
            {"use": "sig", "alg": "RS256", "kid": "next", "x5t": "next", "x5c": ["MII="]},
        ),
        claims={
            "sub": "awZfdIir8YFdGZWkvCejDoUb7SjTDicx@clients",
            "aud": [AUDIENCE, "https://my-domain.auth0.example.com/userinfo"],
            "azp": "awZfdIir8YFdGZWkvCejDoUb7SjTDicx",
            "scope": "registration",
            "gty": "client-credentials",
            "permissions": ["registration"],
        },
        algorithm="RS256",
        issued={"token_type": "Bearer", "expires_in": 86400, "scope": "registration"},
        registered=(
            201,
            {
                "client_secret": "of-the-client",
                "client_secret_expires_at": 0,
            },
        ),
        refusal=Refusal(
            401, {"error": "access_denied", "error_description": "Unauthorized"}, "access_denied"
        ),
    ),
    Product(
        name="authentik",
        sources=(
            "authentik, OAuth 2.0 provider: OAuth2 endpoints and bindings",
            "authentik, Dynamic Client Registration (DCR): Successful response example",
            "authentik, Machine-to-machine authentication",
        ),
        path="/application/o/nodes/",
        missing=(404, HTML, {"content-type": "text/html"}),
        metadata={
            "jwks_uri": "{issuer}jwks/",
            "token_endpoint": "{origin}/application/o/token/",
            "registration_endpoint": "{issuer}register/",
            "code_challenge_methods_supported": ["plain", "S256"],
        },
        keys=({"use": "sig", "alg": "RS256", "kid": "2de5", "x5c": ["MII="], "x5t#S256": "s"},),
        claims={
            "sub": "ak-nodes-client_credentials",
            "aud": "gkjs82kdbva72910ns",
            "azp": "gkjs82kdbva72910ns",
            "uid": "Zz",
            "acr": "goauthentik.io/providers/oauth2/default",
            "scope": "registration",
        },
        algorithm="RS256",
        client={"initial_access_token": "with-goauthentik.io/oidc/dcr-scope"},
        refused=OTHER_AUDIENCE,
        issued={"token_type": "Bearer", "expires_in": 300, "scope": "registration", "id_token": ""},
        registered=(
            201,
            {
                "client_id_issued_at": 1722340800,
                "client_secret": "of-the-client",
                "client_secret_expires_at": 0,
                "scope": "openid profile email offline_access",
                "token_endpoint_auth_method": "client_secret_basic",
            },
        ),
        refusal=Refusal(
            400,
            {
                "error": "invalid_client",
                "error_description": "Client authentication failed",
                "request_id": "5c",
            },
            "invalid_client",
        ),
    ),
    Product(
        name="Ory Hydra",
        sources=(
            "Ory, OAuth2.0 & OpenID Connect well-known endpoint discovery",
            "Ory, Opaque and JWT access tokens: Add custom claims to top level",
            "Ory Hydra, OAuth2 clients: Register OAuth2 and OpenID Connect clients",
            "Ory Hydra, CLI reference: hydra create jwks",
        ),
        path="",
        places=(OAUTH, OPENID),
        metadata={
            "jwks_uri": "{issuer}/.well-known/jwks.json",
            "token_endpoint": "{issuer}/oauth2/token",
            "registration_endpoint": "{issuer}/oauth2/register",
            "revocation_endpoint": "{issuer}/oauth2/revoke",
            "code_challenge_methods_supported": ["plain", "S256"],
            "credentials_supported_draft_00": [{"format": "jwt_vc_json"}],
        },
        # One set for access tokens and ID tokens.
        keys=(
            {"use": "sig", "alg": "RS512", "kid": "hydra.jwt.access-token"},
            {"use": "sig", "alg": "RS256", "kid": "hydra.openid.id-token"},
        ),
        claims={
            "aud": [AUDIENCE],
            "client_id": "4a2e",
            "sub": "4a2e",
            "jti": "c2",
            "nbf": 1,
            "scp": ["registration"],
            "ext": {"x-nmos-registration": {"read": ["*"]}},
        },
        issued={"token_type": "bearer", "expires_in": 3599, "scope": "registration"},
        registered=(
            201,
            {
                "client_secret": "of-the-client",
                "client_secret_expires_at": 0,
                "scope": "registration",
                "owner": "",
                "jwks": {},
                "metadata": {},
                "skip_consent": False,
                "registration_access_token": "ory_at_of-the-registration",
            },
        ),
        managed="/oauth2/register/{client_id}",
    ),
    Product(
        name="ZITADEL",
        sources=(
            "ZITADEL, OpenID Connect endpoints: OpenID Connect 1.0 Discovery",
            "ZITADEL, Claims: Standard claims, Reserved claims",
            "ZITADEL, OpenID Connect and OAuth2 web keys: JSON Web Key",
        ),
        path="",
        metadata={
            "jwks_uri": "{issuer}/oauth/v2/keys",
            "token_endpoint": "{issuer}/oauth/v2/token",
            "code_challenge_methods_supported": ["S256"],
        },
        keys=({"use": "sig", "alg": "RS512", "kid": "304406987891834883"},),
        claims={
            "aud": ["69234237810729019", "69234237810729234"],
            "azp": "69234237810729234",
            "sub": "77776015198584418",
            "jti": "69234237813329048",
            "nbf": 1,
            "urn:zitadel:iam:org:project:roles": [{"user": {"id1": "acme.example.com"}}],
            "urn:zitadel:iam:user:metadata": [{"key": "VmFsdWU="}],
        },
        client={"id": "69234237810729234", "secret": "of-the-client"},
        refused=OTHER_AUDIENCE,
        issued={"token_type": "Bearer", "expires_in": 43199},
        refusal=Refusal(
            400,
            {"error": "invalid_client", "error_description": "client not found"},
            "invalid_client",
        ),
    ),
    Product(
        name="Dex",
        sources=(
            "Dex, server/discovery/discovery.go, server/tokens/claims.go and config.yaml.dist",
        ),
        path="/dex",
        missing=(404, "404 page not found\n", {"content-type": "text/plain; charset=utf-8"}),
        metadata={
            "jwks_uri": "{issuer}/keys",
            "token_endpoint": "{issuer}/token",
            "code_challenge_methods_supported": ["S256", "plain"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        },
        keys=(
            {"use": "sig", "alg": "RS256", "kid": "a"},
            {"use": "sig", "alg": "RS256", "kid": "former"},
        ),
        header={},
        claims={
            "sub": "CgcyMzQyNzQ5EgZnaXRodWI",
            "aud": "nodes",
            "at_hash": "hbXkZ2f1",
            "federated_claims": {"connector_id": "ldap", "user_id": "u"},
        },
        algorithm="RS256",
        client={"id": "nodes", "secret": "of-the-client"},
        refused=NO_CLIENT_ID,
        issued={"token_type": "bearer", "expires_in": 86399, "id_token": "a.b.c"},
        refusal=Refusal(
            401,
            {"error": "invalid_client", "error_description": "Invalid client credentials."},
            "invalid_client",
        ),
    ),
    Product(
        name="WSO2 Identity Server",
        sources=(
            "WSO2 Identity Server, Discover OpenID Connect endpoints: Sample response",
            "WSO2 Identity Server, OpenID Connect Dynamic Client Registration",
        ),
        path="/oauth2/token",
        # Whatever it does not know leads to its console.
        missing=(302, "", {"location": "/carbon/admin/login.jsp"}),
        metadata={
            "jwks_uri": "{origin}/oauth2/jwks",
            "token_endpoint": "{origin}/oauth2/token",
            "registration_endpoint": "{origin}/api/identity/oauth2/dcr/v1.0/register",
        },
        # One key under each of the algorithms it is used with.
        keys=(
            {"use": "sig", "alg": "RS512", "kid": "MTk_RS512", "x5t": "M", "x5c": ["MII="]},
            {"use": "sig", "alg": "RS256", "kid": "MTk_RS256", "x5t": "M", "same": "0"},
        ),
        header={"typ": "at+jwt", "x5t": "M"},
        claims={
            "sub": "8f1b",
            "aut": "APPLICATION",
            "aud": [AUDIENCE, "of-the-client"],
            "nbf": 1,
            "azp": "of-the-client",
            "client_id": "of-the-client",
            "org_id": "10084",
            "org_name": "Super",
            "scope": "registration",
            "jti": "4b",
        },
        client={"initial_access_token": "of-an-administrator"},
        issued={"token_type": "Bearer", "expires_in": 3600, "scope": "registration"},
        registered=(
            201,
            {
                "client_secret": "of-the-client",
                "client_secret_expires_at": 0,
                "grant_types": ["client_credentials"],
                "ext_param_client_id": None,
            },
        ),
        refusal=Refusal(
            401,
            {
                "error_description": "A valid OAuth client could not be found for client_id: x",
                "error": "invalid_client",
            },
            "invalid_client",
        ),
    ),
    Product(
        name="BBC nmos-auth-server",
        sources=(
            "bbc/nmos-auth-server, nmosauth/auth_server: metadata.py, token_generator.py",
            "bbc/nmos-auth-server, nmosauth/auth_server: security_api.py",
        ),
        path="",
        places=(f"{OAUTH}/",),
        missing=(404, '{"code":404,"debug":"None","error":"Not Found"}', {}),
        metadata={
            "jwks_uri": "{issuer}/x-nmos/auth/v1.0/jwks/",
            "token_endpoint": "{issuer}/x-nmos/auth/v1.0/token",
            "registration_endpoint": "{issuer}/x-nmos/auth/v1.0/register",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
        },
        # Its `kid` is the time at which it was asked, and `key_ops` a string.
        keys=({"use": "sig", "alg": "RS512", "kid": "x-nmos-1700000000", "key_ops": "verify"},),
        claims={
            "aud": "*.example.com",
            "sub": "1bz",
            "nbf": 1,
            "client_id": "1bz",
            "scope": "registration",
        },
        issued={"token_type": "Bearer", "expires_in": 60, "scope": "registration"},
        registered=(
            201,
            {
                "client_secret": "of-the-client",
                "client_id_issued_at": 1700000000,
                "client_secret_expires_at": 0,
            },
        ),
    ),
    Product(
        name="IBM Security Access Manager",
        sources=("IBM Security Access Manager 9.0.5, OIDC Dynamic Clients: Register a client",),
        path="/mga/sps/oauth/oauth20/plant",
        metadata={
            "jwks_uri": "{issuer}/jwks",
            "token_endpoint": "{issuer}/token",
            "registration_endpoint": "{issuer}/register",
        },
        # The document has registrations only; the rest is plain.
        keys=({"kid": "1"},),
        claims={"aud": AUDIENCE, "sub": "testuser", "client_id": "myClientId"},
        issued={"token_type": "bearer", "expires_in": 3599},
        # Not 201, and a text where the request had a list.
        registered=(
            200,
            {
                "client_secret_expires_at": 0,
                "client_id_issued_at": 1522139359,
                "client_secret": "of-the-client",
                "redirect_uris": "https://app.com",
                "registration_access_token": "of-the-registration",
            },
        ),
        managed="/mga/sps/oauth/oauth20/register/plant?client_id={client_id}",
    ),
]
