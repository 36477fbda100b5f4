"""From a file and the environment to settings, or to everything that is wrong with it."""

from collections.abc import Mapping
from pathlib import Path

from gateway.document.files import Files
from gateway.document.problem import SettingsError
from gateway.document.section import read_section
from gateway.document.yamlfile import Document, read_document
from gateway.settings.model import Settings
from gateway.settings.tls import BASE


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """The settings a file holds. Raises SettingsError with every problem at once."""
    document, settings = read_settings(path, environment)
    if settings is None:
        raise SettingsError(document.problems)
    return settings


def read_settings(
    path: Path, environment: Mapping[str, str], files: Files | None = None
) -> tuple[Document, Settings | None]:
    """The file as it was read, and its settings unless something is wrong with them."""
    document = read_document(path, environment, files)
    if not document.content:
        return document, None
    base = path.absolute().parent
    settings = read_section(document, Settings, document.content, context={BASE: base})
    document.problems.sort(key=lambda problem: problem.line or 0)
    return document, None if document.problems else settings
