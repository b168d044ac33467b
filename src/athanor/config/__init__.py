"""Settings: one `athanor.toml`, frozen, unknown keys refused."""

from athanor.config.loading import LoadedSettings, flatten, load_settings
from athanor.config.secrets import SecretReference
from athanor.config.settings import (
    IngestSettings,
    KnowledgeSettings,
    ModelSettings,
    ServerSettings,
    Settings,
    StoreSettings,
)

__all__ = [
    "IngestSettings",
    "KnowledgeSettings",
    "LoadedSettings",
    "ModelSettings",
    "SecretReference",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "flatten",
    "load_settings",
]
