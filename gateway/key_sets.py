"""The keys of issuers that a configuration holds, or names as files: or what is wrong with them."""

from gateway.document.problem import Location
from gateway.document.yamlfile import Document
from gateway.issuers.fetching import FetchError
from gateway.issuers.key_source import keys_in_file
from gateway.jose.key_set import KeySet, KeySetError
from gateway.settings.bearer import IssuerSettings
from gateway.settings.model import Settings
from gateway.tls.contexts import ClientTerms, UnfitFileError, client_context

BEARER: Location = ("authentication", "bearer")


def check_key_sets(document: Document, settings: Settings) -> None:
    """Record in the document what is wrong with secrets, key set files, and the authorities of issuers."""
    bearer = settings.authentication.bearer
    for place, issuer in enumerate(bearer.issuers):
        _check_issuer(document, issuer, (*BEARER, "issuers", place))
    if bearer.key_sets.ca is not None:
        try:
            client_context(ClientTerms(bearer.key_sets.ca))
        except UnfitFileError as unfit:
            document.complain((*BEARER, "key_sets", "ca"), f"{unfit.file} {unfit.why}")


def _check_issuer(document: Document, issuer: IssuerSettings, at: Location) -> None:
    try:
        if issuer.secret is not None:
            KeySet.of_secret(issuer.secret.get_secret_value().encode(), issuer.algorithms)
        elif not isinstance(issuer.place, str):
            keys_in_file(issuer.place)
    except KeySetError as why:
        document.complain((*at, "secret"), str(why))
    except FetchError as why:
        document.complain((*at, "jwks"), str(why))
