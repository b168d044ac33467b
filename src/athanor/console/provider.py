"""The OpenID provider as a client sees it: its metadata, its keys, its tokens, and what they say.

A token is good if it is signed by one of the provider's keys with an algorithm of public keys (a secret that everybody
could have is none, and `none` is no algorithm), and if issuer, audience, times and nonce are as they should be
(OpenID Connect Core 1.0, section 3.1.3.7).
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from athanor.config import OidcSettings
from athanor.errors import AthanorError, AuthenticationError
from athanor.governance import Secret
from athanor.plugins import LazyModule
from athanor.types import RoleName

jwt = LazyModule("joserfc.jwt", extra="oidc")
jwk = LazyModule("joserfc.jwk", extra="oidc")
jws = LazyModule("joserfc.jws", extra="oidc")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""All with public keys."""
_PUBLIC = {"RSA", "EC", "OKP"}
CACHE_SECONDS = 3600.0
"""For metadata and keys."""
REFETCH_SECONDS = 30.0
"""Keys are not asked for more often than this, whatever key ids tokens name."""
LARGEST = 1 << 20
"""Bytes of any answer of a provider."""
_TIMEOUT = httpx.Timeout(10, connect=5)
_LONGEST_SUBJECT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a provider says of itself."""

    authorization: str
    token: str
    keys: str
    end_session: str | None
    algorithms: tuple[str, ...]
    basic: bool
    """Does it take the client's secret in the header, or in the body."""
    names_itself: bool
    """It says in each answer who it is (RFC 9207)."""


class Client:
    """Speaks with one provider."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._metadata: tuple[Metadata, float] | None = None
        self._keys: tuple[Any, float] | None = None

    async def metadata(self) -> Metadata:
        """Its metadata, from the last hour.

        Raises:
            ProviderError: it cannot be reached, or what it says is no good.
        """
        now = time.monotonic()
        if self._metadata is None or self._metadata[1] < now - CACHE_SECONDS:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._metadata = (self._read(await self._fetch("GET", url)), now)
        return self._metadata[0]

    async def exchange(self, code: Secret, verifier: str, redirect: str) -> str:
        """The id token for a code.

        Raises:
            AuthenticationError: the provider does not take the code.
            ProviderError: it cannot be reached, or what it says is no good.
        """
        settings, metadata = self.settings, await self.metadata()
        body = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": redirect,
            "code_verifier": verifier,
            "client_id": settings.client_id,
        }
        auth = None
        if settings.client_secret is not None:
            secret = settings.client_secret.resolve().get_secret_value()
            if metadata.basic:
                auth = httpx.BasicAuth(quote(settings.client_id, safe=""), quote(secret, safe=""))
            else:
                body["client_secret"] = secret
        found = await self._fetch("POST", metadata.token, data=body, auth=auth, refusal=True)
        token = found.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("The provider gave no id token.", where=metadata.token)
        return token

    async def verify(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an id token.

        Raises:
            AuthenticationError: it is not the provider's, not for us, not of this sign-in, or not of now.
            ProviderError: its keys cannot be had.
        """
        metadata = await self.metadata()
        allowed = [name for name in ALGORITHMS if name in metadata.algorithms]
        header = _header(token)
        if header.get("alg") not in allowed:
            raise _no_good("its algorithm")
        keys = await self._key_set(metadata, header.get("kid"))
        registry = jws.JWSRegistry(algorithms=allowed)
        try:
            claims: dict[str, Any] = jwt.decode(token, keys, algorithms=allowed, registry=registry).claims
        except Exception as error:  # whatever joserfc or a malformed token raises, it is not good
            raise _no_good("its signature") from error
        self._check(claims, nonce)
        return claims

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        settings, now = self.settings, time.time()
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        said = claims.get("nonce")
        wrong = {
            "its issuer": claims.get("iss") != settings.issuer,
            "its audience": not isinstance(audiences, list) or settings.client_id not in audiences,
            "whom it was made for": claims.get("azp", settings.client_id) != settings.client_id
            or (isinstance(audiences, list) and len(audiences) > 1 and "azp" not in claims),
            "its time": not _is_now(claims, now, settings.clock_skew_s),
            "its nonce": not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()),
            "its subject": not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= _LONGEST_SUBJECT,
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise _no_good(what)

    async def _key_set(self, metadata: Metadata, kid: object) -> Any:
        """The provider's public keys; asked for again when a token names one that is not among them."""
        now = time.monotonic()
        keys, at = self._keys or (None, float("-inf"))
        unknown = keys is not None and kid is not None and kid not in {key.kid for key in keys.keys}
        if at < now - CACHE_SECONDS or (unknown and at < now - REFETCH_SECONDS):
            keys = await self._load_keys(metadata)
            self._keys = (keys, now)
        return keys

    async def _load_keys(self, metadata: Metadata) -> Any:
        found = (await self._fetch("GET", metadata.keys)).get("keys")
        listed = found if isinstance(found, list) else []
        usable = [
            key
            for key in listed
            if isinstance(key, dict) and key.get("kty") in _PUBLIC and key.get("use", "sig") == "sig" and "d" not in key
        ]
        keys = []
        for one in usable:
            try:
                keys.append(jwk.import_key(one))
            except Exception:  # noqa: S112  a key of a kind that is not known here
                continue
        if not keys:
            raise ProviderError("The provider has no keys that can be used.", where=metadata.keys)
        return jwk.KeySet(keys)

    def _read(self, said: Mapping[str, Any]) -> Metadata:
        if said.get("issuer") != self.settings.issuer:
            raise ProviderError(
                f"The provider calls itself {str(said.get('issuer'))[:200]!r}.", where="access.oidc.issuer",
                hint="The setting has to be the same, to the last slash.",
            )  # fmt: skip
        algorithms = said.get("id_token_signing_alg_values_supported") or ["RS256"]
        methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Metadata(
            authorization=self._endpoint(said, "authorization_endpoint"),
            token=self._endpoint(said, "token_endpoint"),
            keys=self._endpoint(said, "jwks_uri"),
            end_session=self._endpoint(said, "end_session_endpoint") if "end_session_endpoint" in said else None,
            algorithms=tuple(str(name) for name in algorithms),
            basic="client_secret_basic" in methods,
            names_itself=said.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, said: Mapping[str, Any], name: str) -> str:
        url = str(said.get(name, ""))
        # A provider on this machine may speak http; all others may not, whatever they say.
        if not url.startswith("https://") and not (
            self.settings.issuer.startswith("http://") and url.startswith(self.settings.issuer)
        ):
            raise ProviderError(f"The provider's {name} is no https address.", where=url[:200])
        return url

    async def _fetch(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        refusal: bool = False,
    ) -> Mapping[str, Any]:
        """A JSON object. With `refusal`, a 4xx is the caller's fault."""
        raw = b""
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as http,
                http.stream(method, url, data=data, auth=auth, headers={"accept": "application/json"}) as reply,
            ):
                async for part in reply.aiter_bytes():
                    raw += part
                    if len(raw) > LARGEST:
                        raise ProviderError("The provider says too much.", where=url)
                status = reply.status_code
            found = orjson.loads(raw)
        except httpx.HTTPError as error:
            raise ProviderError(f"The provider cannot be reached: {type(error).__name__}.", where=url) from error
        except orjson.JSONDecodeError as error:
            raise ProviderError("The provider does not speak JSON.", where=url) from error
        if refusal and 400 <= status < 500:
            raise AuthenticationError("The provider does not take this sign-in.", hint="Begin again.")
        if status != 200 or not isinstance(found, dict):
            raise ProviderError(f"The provider answered {status}.", where=url)
        return found


class ProviderError(AthanorError):
    """The provider cannot be asked, or says what cannot be used."""

    code = "provider_failed"
    status = 502


def subject_of(claims: Mapping[str, Any], settings: OidcSettings) -> tuple[str, str, str]:
    """Issuer, subject, and a name to show."""
    for name in (settings.name_claim, "email", "name", "sub"):
        found = _inside(claims, name)
        if isinstance(found, str) and found.strip():
            return settings.issuer, str(claims["sub"]), found
    return settings.issuer, str(claims["sub"]), ""


def role_of(claims: Mapping[str, Any], settings: OidcSettings) -> RoleName | None:
    """The role of the first entry of `roles` that the claims have."""
    found = _inside(claims, settings.roles_claim)
    named = (
        {found}
        if isinstance(found, str)
        else {x for x in found if isinstance(x, str)}
        if isinstance(found, list)
        else set()
    )
    return next((role for group, role in settings.roles.items() if group in named), None)


def _inside(claims: Mapping[str, Any], path: str) -> object:
    """The claim at `path`: by that very name, else inwards at each dot."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _header(token: str) -> Mapping[str, Any]:
    try:
        found = jws.extract_compact(token.encode()).headers()
    except Exception as error:  # whatever a malformed token raises
        raise _no_good("its form") from error
    return found if isinstance(found, dict) else {}


def _is_now(claims: Mapping[str, Any], now: float, skew: float) -> bool:
    """Was it made before `now`, and does it still hold."""
    expires, issued, begins = (claims.get(name) for name in ("exp", "iat", "nbf"))
    given = (expires, issued, 0 if begins is None else begins)
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
        return False
    end, made, start = (float(value) for value in given if value is not None)
    return end > now - skew and made <= now + skew and start <= now + skew


def _no_good(what: str) -> AuthenticationError:
    return AuthenticationError("The provider's token is not good.", where=what, hint="Begin again.")
