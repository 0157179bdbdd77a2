"""One Authorization Server as this Client sees it: metadata, registration, requests."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from pydantic import SecretStr

from nmos_auth.client.errors import (
    ClientClosed,
    ClientError,
    CredentialsMissing,
    OAuthError,
    RevocationRefused,
    ScopeNotGranted,
    ServerUnavailable,
    TokenRefused,
)
from nmos_auth.client.grants.authentication import (
    ClientAuthentication,
    NoAuthentication,
    PrivateKeyJwt,
    SecretBasic,
)
from nmos_auth.client.grants.grants import (
    GrantedTokens,
    PendingAuthorization,
    TokenForm,
    authorization_code_form,
    begin_authorization,
    client_credentials_form,
    next_refresh_token,
    parse_token_answer,
    raise_refusal,
    refresh_form,
)
from nmos_auth.client.http import Answer
from nmos_auth.client.metadata import ServerMetadata, fetch_metadata
from nmos_auth.client.registration.advice import advice_for
from nmos_auth.client.registration.context import ClientContext
from nmos_auth.client.registration.enrolment import Enrolment
from nmos_auth.client.registration.registrations import (
    Registration,
    redirect_uri_at,
)
from nmos_auth.client.servers.polite import PoliteTransport
from nmos_auth.client.settings import AuthMethod
from nmos_auth.client.store.steps import Steps
from nmos_auth.servers.single_flight import SingleFlight

__all__ = ["AuthorizationServer"]

# Seconds after which metadata is fetched again.
_METADATA_AGE = 3600.0


class AuthorizationServer:
    """Registers with one Authorization Server and sends it requests.

    Metadata is kept for an hour, or until something fails.

    Args:
        issuer: its issuer identifier.
        context: what all servers share.
    """

    def __init__(self, issuer: str, context: ClientContext) -> None:
        self.issuer = issuer
        self._transport = context.transport
        polite = PoliteTransport(context.transport, context.monotonic)
        self._context = context = replace(context, transport=polite)
        self._metadata: tuple[float, ServerMetadata] | None = None
        self._fetch = SingleFlight(self._fetch_metadata, closed=ClientClosed)
        self._enrolment = Enrolment(issuer, context, self.metadata)

    async def metadata(self) -> ServerMetadata:
        """Return its metadata.

        Raises:
            ClientError: it could not be fetched, or must not be used.
        """
        if self._metadata is not None:
            fetched_at, metadata = self._metadata
            if self._context.monotonic() - fetched_at < _METADATA_AGE:
                return metadata
        return await self._fetch()

    @property
    def steps(self) -> Steps:
        """Runs the steps that must not be interrupted."""
        return self._context.steps

    async def registration(self) -> Registration:
        """Return the Client's registration; see `Enrolment.registration`."""
        return await self._enrolment.registration()

    async def belonging(self, client_id: str) -> Registration:
        """Return the registration that a grant belongs to; "" for the current one.

        Raises:
            LoginRequired: the registration is no longer in the store.
            ClientError: the store failed.
        """
        registration = await self._enrolment.belonging(client_id)
        return await self._enrolment.renewed(registration)

    async def deregister(self) -> bool:
        """Remove the Client from the server and from the store; see `Departure.deregister`."""
        return await self._enrolment.deregister()

    async def hold(self, client_id: str) -> None:
        """Keep a registration for a day, because a session in memory belongs to it."""
        await self._enrolment.hold(client_id)

    async def settle(self) -> None:
        """Begin to remove former registrations that no grant belongs to."""
        await self._enrolment.settle()

    async def client_credentials(
        self, scope: Iterable[str], *, required: Iterable[str] | None = None
    ) -> GrantedTokens:
        """Get a token in the Client's own name (RFC 6749 Section 4.4).

        If the server has forgotten the Client, the Client registers again.

        Args:
            scope: the scopes to request.
            required: the scopes without which the token is useless; None for all of them.

        Raises:
            ClientError: the server does not issue a token.
        """
        form = client_credentials_form(scope)
        needed = form.scope if required is None else frozenset(required)
        registration = await self.registration()
        try:
            granted = await self._request(registration, form)
        except TokenRefused as refusal:
            other = await self._enrolment.registration_after(refusal, registration)
            granted = await self._request(other, form)
        try:
            granted.require_scope(self.issuer, needed)
        except ScopeNotGranted:
            # The token is not used here, and must not be used elsewhere.
            with contextlib.suppress(ClientError):
                await self.revoke(granted.access_token, "access_token", client_id=granted.client_id)
            raise
        return granted

    async def begin_authorization(
        self, scope: Iterable[str], *, redirect_uri: str | None = None
    ) -> PendingAuthorization:
        """Make an authorization request for a user's browser.

        Args:
            scope: the scopes to request.
            redirect_uri: None for the registered one; another one may only differ in its loopback
                port (RFC 8252 Section 7.3).

        Raises:
            ClientError: the server cannot be asked.
        """
        registration = await self._enrolment.confirmed()
        uri = redirect_uri or registration.redirect_uri
        return begin_authorization(
            await self.metadata(),
            registration.client_id,
            uri or redirect_uri_at(self._context.settings, self.issuer),
            scope,
            assume_pkce=self._context.settings.assume_pkce,
        )

    async def exchange_code(self, pending: PendingAuthorization, code: SecretStr) -> GrantedTokens:
        """Exchange a code for tokens (RFC 6749 Section 4.1.3).

        The granted scope may be smaller than the requested one; `GrantedTokens.require_scope`
        checks that.

        Raises:
            ClientError: the server does not exchange it.
        """
        if pending.client_id:
            registration = await self.belonging(pending.client_id)
        else:
            registration = await self.registration()
        return await self._request(
            registration, authorization_code_form(pending, code, registration.client_id)
        )

    async def refresh(
        self,
        refresh_token: SecretStr,
        scope: Iterable[str],
        registration: Registration | None = None,
        *,
        keep: Callable[[SecretStr], Awaitable[None]] | None = None,
    ) -> GrantedTokens:
        """Renew an authorization (RFC 6749 Section 6).

        Args:
            refresh_token: the Refresh Token.
            scope: the scopes to request.
            registration: the registration that the token belongs to; None for the current one.
            keep: keeps the new Refresh Token, even if the rest of the answer cannot be used.

        Raises:
            ClientError: the server does not renew it.
        """
        return await self._request(
            registration or await self.registration(), refresh_form(refresh_token, scope), keep
        )

    async def after_refresh(self, refusal: TokenRefused, used: Registration) -> Registration:
        """Return the registration to try next for a refresh, after the server has refused one.

        Raises:
            ClientError: the refusal stands, or the user has to log in again.
        """
        return await self._enrolment.registration_to_refresh(refusal, used)

    def age_of(self, granted: GrantedTokens) -> float:
        """Return the seconds since tokens of this server were requested."""
        return self._context.monotonic() - granted.requested_at

    async def revoke(
        self, token: SecretStr, kind: str = "refresh_token", *, client_id: str = ""
    ) -> bool:
        """Revoke a token (RFC 7009).

        Args:
            token: the token.
            kind: `refresh_token` or `access_token`.
            client_id: the client it was issued to; "" if that is not known.

        Returns:
            Whether the server offers revocation.

        Raises:
            ClientError: the server did not revoke it.
        """
        metadata = await self.metadata()
        if metadata.revocation_endpoint is None:
            return False
        value = token.get_secret_value()
        request = self._authentication(await self.belonging(client_id)).post(
            metadata,
            metadata.revocation_endpoint,
            {"token": value, "token_type_hint": kind},
            (value,),
        )
        # A logout does not wait for Retry-After, since it is one request of a user.
        answer = await self._transport.send(request)
        # RFC 7009 Section 2.2 requires 200; some servers answer 204.
        if not 200 <= answer.status < 300:
            raise_refusal(request, answer, RevocationRefused)
        return True

    async def _fetch_metadata(self) -> ServerMetadata:
        metadata = await fetch_metadata(
            self._context.transport, self.issuer, allow_http=self._context.settings.allow_http
        )
        self._metadata = (self._context.monotonic(), metadata)
        return metadata

    def _authentication(self, registration: Registration) -> ClientAuthentication:
        context = self._context
        if registration.auth_method is AuthMethod.NONE:
            return NoAuthentication(registration.client_id)
        if registration.auth_method is AuthMethod.CLIENT_SECRET_BASIC:
            if registration.secret is None:
                raise CredentialsMissing(f"there is no client secret for {self.issuer}")
            return SecretBasic(registration.client_id, registration.secret)
        if context.keys is None:
            raise CredentialsMissing(f"there is no key to sign assertions for {self.issuer}")
        return PrivateKeyJwt(
            registration.client_id,
            context.keys,
            context.settings.assertion_audience,
            registration.signing_algorithm,
            context.clock,
        )

    async def _request(
        self,
        registration: Registration,
        form: TokenForm,
        keep: Callable[[SecretStr], Awaitable[None]] | None = None,
    ) -> GrantedTokens:
        metadata = await self.metadata()
        request = self._authentication(registration).post(
            metadata, metadata.token_endpoint, form.parameters, form.hidden
        )
        requested_at = self._context.monotonic()
        answer: Answer | None = None
        try:
            answer = await self._context.transport.send(request)
            following = None if keep is None else next_refresh_token(answer)
            if keep is not None and following is not None:
                await keep(following)
            granted = parse_token_answer(request, answer, form, requested_at=requested_at)
        except OAuthError as refusal:
            if refusal.status in {404, 405}:
                self._metadata = None
            if refusal.rejects_client:
                self._explain(refusal, registration, answer)
            raise
        except ServerUnavailable as error:
            if error.retry_after is None:
                # Its endpoints may have moved.
                self._metadata = None
            raise
        self._enrolment.accepted(registration)
        return replace(granted, client_id=registration.client_id)

    def _explain(
        self, refusal: OAuthError, registration: Registration, answer: Answer | None
    ) -> None:
        """Add to a refusal what can be wrong at the Client, if it was not authenticated."""
        context = self._context
        ahead = 0.0
        if answer is not None and answer.date is not None:
            ahead = context.clock() - answer.date
        key = None
        if context.keys is not None:
            key = str(context.keys.current.kid)
        advice, setting = advice_for(registration, context.settings, ahead=ahead, key=key)
        refusal.advise(advice, setting=setting)

    async def flush(self) -> None:
        """Write what could not be written before."""
        await self._enrolment.flush()

    async def aclose(self) -> None:
        """End what is under way, except steps."""
        await self._fetch.aclose()
        await self._enrolment.aclose()
