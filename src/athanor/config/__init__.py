"""Settings: one `athanor.toml`, frozen, unknown keys refused."""

from athanor.config.loading import LoadedSettings, flatten, load_settings
from athanor.config.secrets import SecretReference
from athanor.config.settings import (
    BreakerSettings,
    CacheSettings,
    EncryptionSettings,
    GitSettings,
    GuardSettings,
    IngestSettings,
    KnowledgeSettings,
    LimitSettings,
    ModelSettings,
    PriceSettings,
    RetrySettings,
    RouteSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    TaskSettings,
    TimeoutSettings,
    TraceSettings,
)

__all__ = [
    "BreakerSettings",
    "CacheSettings",
    "EncryptionSettings",
    "GitSettings",
    "GuardSettings",
    "IngestSettings",
    "KnowledgeSettings",
    "LimitSettings",
    "LoadedSettings",
    "ModelSettings",
    "PriceSettings",
    "RetrySettings",
    "RouteSettings",
    "SecretReference",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "TaskSettings",
    "TimeoutSettings",
    "TraceSettings",
    "flatten",
    "load_settings",
]
