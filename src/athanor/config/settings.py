"""Every setting of the system, with its default. `athanor config check` prints them with their source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from athanor.config.secrets import SecretReference
from athanor.types import AnswerMode, RoleName


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServerSettings(Section):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """Address to bind. Anything but loopback opens the server to others."""
    port: int = Field(default=8700, ge=0, le=65535)
    """TCP port; 0 takes a free one."""
    max_body_mb: int = Field(default=256, gt=0)
    """Largest request body, uploads included, in MiB."""
    max_request_mb: int = Field(default=32, gt=0)
    """Largest request to a model, in MiB; pictures and files in it count."""
    max_connections: int = Field(default=1000, gt=0)
    """Connections of clients open at once; further ones get a 503."""
    console: bool = True
    """Serve the console in the browser."""


class StoreSettings(Section):
    """Where state is kept."""

    url: str | None = None
    """SQLAlchemy URL. Unset: SQLite in the home folder. PostgreSQL: `postgresql+psycopg://user@host/name`."""


class EncryptionSettings(Section):
    """How what was said is kept unreadable on disk. See `docs/guides/encryption.md`."""

    content: bool = True
    """Encrypt recorded contents, stored responses, comments and questions. Secrets are encrypted in any case."""
    key: SecretReference | None = None
    """Where the master key is: `{ env = "NAME" }` or `{ file = "/path" }`; unset: `master.key` in the home folder, made
    at the first start."""
    key_command: tuple[str, ...] | None = None
    """Command that prints the master key, in place of `key`: `["vault", "kv", "get", …]`."""


class PriceSettings(Section):
    """What a model costs, in US dollars. Unset: the catalogue's price of that name, else nothing."""

    prompt: float = Field(default=0.0, ge=0)
    """Per million tokens of the prompt."""
    completion: float = Field(default=0.0, ge=0)
    """Per million tokens of the answer, reasoning included."""
    cached: float | None = Field(default=None, ge=0)
    """Per million prompt tokens that the vendor's cache held; unset costs as much as others."""
    written: float | None = Field(default=None, ge=0)
    """Per million prompt tokens written to the vendor's cache; unset costs as much as others."""
    second: float = Field(default=0.0, ge=0)
    """Per second that a local model computed."""


class TimeoutSettings(Section):
    """How long to wait for an endpoint, in seconds."""

    connect_s: float = Field(default=10, gt=0)
    """For a connection."""
    first_token_s: float = Field(default=120, gt=0)
    """From the request to the first piece of the answer."""
    between_tokens_s: float = Field(default=60, gt=0)
    """From one piece to the next."""
    total_s: float = Field(default=600, gt=0)
    """For the whole answer."""


Capability = Literal[
    "tools",
    "image",
    "file",
    "json_schema",
    "thinking",
    "logprobs",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
]
"""What a model may lack."""


class ModelSettings(Section):
    """One chat model, reached under the name of its table: `[models.NAME]`."""

    source: str
    """`package:DIST/FILE`, `file:/path/model.gguf`, `hub:OWNER/REPO@REVISION/FILE`, or a URL such as
    `https://api.openai.com/v1`."""
    backend: Literal[
        "auto", "openvino", "llamacpp", "openai", "responses", "azure", "anthropic", "gemini", "scripted"
    ] = "auto"
    """What runs it. For files, `auto` takes the fastest that loads the file; for URLs, what speaks with that host."""
    upstream: str | None = None
    """The model's name at the URL (at Azure: the deployment); unset means the same name as here."""
    api_key: SecretReference | None = None
    """Key for the URL: `{ env = "NAME" }` or `{ file = "/path" }`."""
    api_version: str | None = None
    """Azure's `api-version`, or Anthropic's `anthropic-version`; unset takes a current one."""
    token_command: tuple[str, ...] | None = None
    """Command that prints a short-lived token for the URL, in place of a key: `["az", "account", …]`."""
    headers: dict[str, str] = {}
    """Sent with every request to the URL. Not for secrets."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Pin of the file."""
    context: int | None = Field(default=None, gt=0)
    """Tokens of context; unset takes what the model says, up to 16,384."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens of an answer where the request does not say."""
    grounded: AnswerMode | None = None
    """Answer mode it is trusted with over passages; unset takes the profile's."""
    threads: int | None = Field(default=None, gt=0)
    """Processor threads; unset takes all."""
    memory_mb: int | None = Field(default=None, gt=0)
    """Memory limit of its process, in MiB."""
    price: PriceSettings | None = None
    """What it costs: `{ prompt = 0.15, completion = 0.60 }`."""
    lacks: tuple[Capability, ...] | None = None
    """What it cannot do; unset takes the profile's. A request that needs it is refused, or loses it: see `drop`."""
    drop: bool = False
    """Leave out parameters that it lacks, and say so in `x-athanor-dropped`, instead of refusing the request."""
    quality: float | None = Field(default=None, ge=0, le=1)
    """How good it is, from 0 to 1, by your own measure; routes with a quality floor compare it."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """How long to wait for the URL."""
    embeddings: bool = False
    """It is an embedding model of the URL, reached through `/v1/embeddings`."""
    trusted: bool | None = None
    """Send it everything as it is. Unset: only where the URL is on this machine; to others, requests go as the policy's
    section `remote` says."""


class WeightSettings(Section):
    """Which files of models may be loaded. See `docs/guides/weights.md`."""

    strict: bool = False
    """Load only weights that are pinned (by the catalogue, or by `sha256` here) or signed by a trusted signer, and only
    formats that hold no code. Pickles are refused in any case."""


class RetrySettings(Section):
    """When a model fails before it has said anything."""

    attempts: int = Field(default=2, ge=1, le=10)
    """Tries of one model, the first included, before the next model is asked."""
    first_pause_s: float = Field(default=0.25, ge=0)
    """Pause after the first failure; doubles each time, with jitter. A vendor's `Retry-After` wins."""
    longest_pause_s: float = Field(default=8, ge=0)
    """A vendor that asks for a longer pause counts as failed, and the next model is asked at once."""


class BreakerSettings(Section):
    """When to stop asking a model that keeps failing."""

    failures: int = Field(default=5, ge=1)
    """Failures in a row after which it is left alone."""
    pause_s: float = Field(default=30, gt=0)
    """How long; then one request tries it."""


class TaskSettings(Section):
    """Send a task to the model that is enough for it. `athanor route train` learns it from examples."""

    model: str
    """The model for requests that the classifier recognises."""
    labels: tuple[str, ...]
    """Labels of the classifier that go to it."""


class RouteSettings(Section):
    """A name that stands for several models: `[routes.NAME]`."""

    use: tuple[str, ...] = Field(min_length=1)
    """Models, in the order in which they are preferred."""
    pick: Literal["first", "weighted", "least_busy", "fastest", "cheapest", "task"] = "first"
    """Which of `use` is asked first. `least_busy` balances replicas and keeps talks where their prefix is cached."""
    weights: dict[str, float] = {}
    """With `weighted`: shares, such as `{ a = 9, b = 1 }`."""
    fall_back_to: tuple[str, ...] = ()
    """Models to ask, in order, when those of `use` have failed."""
    quality_floor: float | None = Field(default=None, ge=0, le=1)
    """Models whose `quality` is lower, or not stated, are not picked."""
    tasks: tuple[TaskSettings, ...] = ()
    """With `task`: which label goes to which model; the rest goes to the first of `use`."""
    classifier: Path | None = None
    """With `task`: the file that `athanor route train` wrote; unset takes `routes/NAME.json` in the home folder."""
    retry: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    hedge_after_s: float | None = Field(default=None, gt=0)
    """Ask a second model too when the first has said nothing for so long, and take whoever speaks first."""
    cache: Literal["off", "exact", "semantic"] | None = None
    """Unset takes `cache.mode`."""


class LimitSettings(Section):
    """Limits of the whole system. Keys and teams have their own: `athanor keys limit`, `athanor teams limit`."""

    requests_per_minute: int | None = Field(default=None, ge=0)
    """Requests in any minute."""
    tokens_per_minute: int | None = Field(default=None, ge=0)
    """Tokens in any minute, prompt and answer together."""
    concurrency: int | None = Field(default=None, ge=0)
    """Requests at once."""
    usd_per_day: float | None = Field(default=None, ge=0)
    """US dollars in a day, UTC."""
    usd_per_month: float | None = Field(default=None, ge=0)
    """US dollars in a calendar month, UTC."""


class CacheSettings(Section):
    """Answers that are kept and given again. See `docs/concepts/cache.md`."""

    mode: Literal["off", "exact", "semantic"] = "off"
    """`exact`: the same request by readers with the same rights. `semantic`: also a request that means the same, once
    shadow comparisons have shown that it may."""
    ttl_s: float = Field(default=3600, gt=0)
    """Seconds that an answer is kept."""
    max_mb: int = Field(default=64, gt=0)
    """Memory for answers, in MiB; the least used go first."""
    share: Literal["key", "team", "all"] = "key"
    """Who may get an answer that another asked for. Rights to knowledge are compared in any case."""
    false_hits: float = Field(default=0.01, gt=0, lt=1)
    """Semantic: share of wrong answers among hits that may not be exceeded, at 95 % confidence."""
    shadow: float = Field(default=0.05, ge=0, le=1)
    """Semantic: share of hits that are answered anew all the same, to go on measuring."""


class TraceSettings(Section):
    """What is kept of requests, and where it is sent."""

    keep_days: int = Field(default=30, ge=1)
    """Traces and recorded content older than this are deleted."""
    keep_ledger_days: int = Field(default=400, ge=1)
    """Rows of the ledger older than this are deleted."""
    content: bool = False
    """Keep the text of all requests and answers; each key can also ask for it on its own."""
    otlp_url: str | None = None
    """Send traces to this OTLP/HTTP endpoint, such as `http://127.0.0.1:4318/v1/traces`."""
    otlp_headers: dict[str, SecretReference] = {}
    """Headers for that endpoint, such as `{ authorization = { env = "OTLP_TOKEN" } }`."""


class KnowledgeSettings(Section):
    """How documents are cut, found and answered from."""

    embedder: str = "default"
    """Embedder from the catalogue."""
    reranker: str | None = "default"
    """Reranker from the catalogue; `""` switches it off."""
    runtime: Literal["auto", "openvino", "onnxruntime"] = "auto"
    """What runs the embedder; `auto` takes OpenVINO where it is installed and its vectors agree."""
    pgvector: bool = False
    """Search vectors in PostgreSQL, where the store is one with the extension, instead of in this process."""
    chunk_tokens: int = Field(default=200, ge=32, le=480)
    """Size a chunk aims at, in tokens."""
    mode: AnswerMode | None = None
    """How to answer; unset lets the chat model's profile decide."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Abstain when the calibrated confidence is below this; unset takes the shipped value."""
    max_sentences: int = Field(default=3, ge=1, le=10)
    """Sentences quoted in an extractive answer, at most."""
    unsupported: Literal["drop", "mark"] = "drop"
    """What is done with a written sentence that no source supports: leave it out and count it, or send it marked."""
    support: float | None = Field(default=None, ge=0, le=1)
    """A written sentence is supported from this groundedness on; unset takes the shipped value."""
    entailment: bool = True
    """Ask the chat model for its own judgement of a sentence in doubt, if its profile says that it is able."""
    parser: Literal["own", "docling"] = "own"
    """What reads DOCX and PPTX; `docling` needs its extra. All other formats are read by our own parsers."""
    ocr: Literal["auto", "off"] = "auto"
    """Read pages without text, and pictures, by tesseract where it is installed."""
    ocr_languages: str = Field(default="eng", pattern=r"^[A-Za-z0-9_]{2,40}(\+[A-Za-z0-9_]{2,40}){0,15}$")
    """Languages as tesseract calls them, the most likely first: `eng+deu`."""


class IngestSettings(Section):
    """Limits on the reading of documents."""

    max_file_mb: int = Field(default=100, gt=0)
    """Larger files are reported, not read."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds for one document's parser."""
    memory_mb: int = Field(default=1024, gt=64)
    """Memory for one parser process, in MiB."""
    workers: int = Field(default=1, ge=1, le=16)
    """Parser processes."""
    max_members: int = Field(default=1_000_000, gt=0)
    """Members of one archive, mailbox or mail, at all depths; those behind are reported, not read."""
    max_unpacked_mb: int = Field(default=16384, gt=0)
    """MiB that may be unpacked from one of these, at all depths."""


class GitSettings(Section):
    """Git repositories that knowledge bases are kept in step with. See `docs/guides/sources.md`."""

    hosts: tuple[str, ...] = ()
    """Hosts, such as `github.com`, from which whoever may build may name a repository; it is read with the server's
    credentials. From other hosts, and of this machine, only administrators may."""
    tokens: dict[str, SecretReference] = {}
    """Host → token for HTTPS, or `user:password`: `{ "github.com" = { env = "GITHUB_TOKEN" } }`."""
    max_mb: int = Field(default=2048, gt=0)
    """MiB that a download, and what is kept of a repository, may have."""
    timeout_s: float = Field(default=900, gt=0)
    """Seconds that a download may take."""


class TopicSettings(Section):
    """A topic of your own, told by a few examples: the category `topic.NAME`."""

    examples: tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...] = Field(min_length=3, max_length=500)
    """Texts on the topic; ten are a good start."""
    against: tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...] = Field(default=(), max_length=500)
    """Texts that come near it and are not on it."""


class GuardSettings(Section):
    """What is looked for in requests and answers. See `docs/guides/guards.md`."""

    mode: Literal["enforce", "observe", "off"] = "enforce"
    """`observe`: everything is looked for and nothing is changed or refused; what the policy would have done is kept
    as an event."""
    policies: Path | None = None
    """The policies' file; unset takes `guards.toml` in the home folder, and the shipped policy where there is none."""
    failures_in: Literal["open", "closed"] = "open"
    """What happens to a request when a guard that could refuse or change it fails: it goes on, or is refused."""
    failures_out: Literal["open", "closed"] = "closed"
    """The same of answers, of what is sent to remote models, and of what is recorded."""
    timeout_s: float = Field(default=10, gt=0)
    """Seconds after which a guard counts as failed."""
    remembered: int = Field(default=4096, ge=0)
    """Verdicts kept in memory, so that the history of a talk is not checked again at each turn."""
    longest: int = Field(default=200_000, gt=0)
    """Characters of one text that guards look at; the rest is looked at in further pieces of that size."""
    canary: bool = True
    """Put a secret mark into our own system prompts, by which an answer that gives them away is recognised."""
    canary_callers: bool = False
    """Put it into callers' system prompts too. Their answers are then cached for each caller alone, and a day long."""
    spotlight: bool = True
    """Quote passages of documents in our own prompts so that nothing in them can end the quotation."""
    spotlight_tools: bool = False
    """Quote results of tools in callers' requests too, and say so in their system prompts."""
    spotlight_words: bool = False
    """Mark every word of a quotation, not its edges alone: stronger, and small models write worse for it."""
    hosts: tuple[str, ...] = ()
    """Hosts whose links and pictures answers may show: `docs.example.org`, `*.example.org`. Pictures from others are
    never shown, links to others are where they carry no data; once hosts are named, links to others are findings
    too."""
    phone_regions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = (
        "US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR",
    )  # fmt: skip
    """Countries (ISO 3166) whose national telephone numbers are known without a word such as `phone` before them."""
    topics: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")], TopicSettings] = {}


class OidcSettings(Section):
    """An OpenID provider whose users may sign in to the console: `[access.oidc]`."""

    issuer: str = Field(pattern=r"^https://|^http://(127\.0\.0\.1|localhost|\[::1\])(:|/|$)")
    """Its URL, exactly as its tokens say it; `/.well-known/openid-configuration` is under it."""
    client_id: str
    """What the provider calls this console."""
    client_secret: SecretReference | None = None
    """`{ env = "NAME" }` or `{ file = "/path" }`; unset for a public client."""
    name: str = "single sign-on"
    """What the button says: Sign in with …"""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What is asked for; `openid` has to be among them."""
    name_claim: str = "preferred_username"
    """The claim that names a new user; without it, `email` or `name` does."""
    roles_claim: str = "groups"
    """The claim that holds groups or roles; dots lead inwards: `realm_access.roles`."""
    roles: dict[str, RoleName] = {}
    """Group or role of the provider → role here; the first entry that matches counts. Empty: roles are given here."""
    default_role: RoleName | None = RoleName.USER
    """Of whoever has none of `roles`; `""` does not let them in."""
    clock_skew_s: float = Field(default=30, ge=0, le=300)
    """How far the provider's clock may be off."""

    @field_validator("default_role", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return None if value == "" else value


class AccessSettings(Section):
    """Who gets into the console, and for how long. Keys are another matter: `athanor keys`."""

    public_url: str | None = Field(default=None, pattern=r"^https?://[^/?#]+$")
    """What browsers see, where a proxy stands before the server: `https://athanor.example.com`."""
    address_header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]+$")
    """Header whose last entry is the browser's address, if a proxy of yours sets it: `x-forwarded-for`."""
    session_days: float = Field(default=30, gt=0, le=400)
    """A session ends so long after the sign-in, however much it is used."""
    idle_hours: float = Field(default=168, gt=0)
    """A session ends when it was not used for so long."""
    password_length: int = Field(default=12, ge=8, le=128)
    """The fewest characters of a password."""
    argon2_memory_kib: int = Field(default=19456, ge=64)
    """Memory of a password's hash, in KiB. Changed figures hold for each user from their next sign-in."""
    argon2_iterations: int = Field(default=2, ge=1)
    """Passes over that memory."""
    argon2_lanes: int = Field(default=1, ge=1)
    """Lanes of it."""
    oidc: OidcSettings | None = None
    """An OpenID provider; unset: none."""


class Settings(Section):
    """The whole of `athanor.toml`."""

    home: Path = Path("~/.athanor")
    """Folder of all state."""
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    access: AccessSettings = AccessSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    chat: str = "smollm2-135m"
    """The model that answers when none is named: a `[models.NAME]` or a name from the catalogue."""
    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")], ModelSettings] = {}
    weights: WeightSettings = WeightSettings()
    routes: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")], RouteSettings] = {}
    limits: LimitSettings = LimitSettings()
    cache: CacheSettings = CacheSettings()
    traces: TraceSettings = TraceSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    ingest: IngestSettings = IngestSettings()
    git: GitSettings = GitSettings()
    guards: GuardSettings = GuardSettings()
    processor_wait: Literal["passive", "active"] = "passive"
    """How the threads of local models wait: `active` is faster on a quiet machine and far slower on a busy one."""
