"""What secrets look like: our own list, and the pinned plug-ins of detect-secrets.

Every form has gates: literals of which one must be in the text before its expression is tried. Looking for a literal
costs less than a microsecond a page, an expression that may begin anywhere up to a millisecond.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from athanor.plugins import require

_DETECT = "detect_secrets.plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to write a secret."""

    category: str
    what: str
    """For people."""
    pattern: re.Pattern[str]
    gates: tuple[str, ...] = ()
    """In lower case, compared with the text in lower case; none: always tried."""
    score: float = 1.0
    group: int = 0
    """Of the match: the secret itself."""
    valid: Callable[[str], bool] | None = None


def _form(what: str, category: str, pattern: str, *gates: str, score: float = 1.0, group: int = 0) -> Form:
    return Form(
        category=f"secret.{category}", what=what, pattern=re.compile(pattern), gates=gates, score=score, group=group
    )


def _json_header(token: str) -> bool:
    """Does it begin like the header of a JSON Web Token."""
    head = token.partition(".")[0][:64]
    try:
        said = base64.urlsafe_b64decode(head[: len(head) // 4 * 4])
    except (ValueError, binascii.Error):
        return False
    return bool(re.match(rb'\{\s*"(?:alg|typ|kid|cty|enc|jku|jwk|x5[ctu]|crit|b64|zip)"', said))


# The formats are documented by their makers. The last part is bounded below only, so that a token that is still coming
# is already found.
OWN = (
    _form("API key of this product", "athanor", r"\bath[ls]?_[A-Za-z0-9_-]{43}", "ath_", "athl_", "aths_"),
    Form(
        category="secret.private_key",
        what="private key",
        # To its end; while that has not come, to the end of the text.
        pattern=re.compile(
            r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----[\s\S]*?(?:-----END (?P=kind)-----|\Z)"
            r"|PuTTY-User-Key-File-[23]:[\s\S]*?(?:Private-MAC: ?[0-9a-f]{40,64}|\Z)"
        ),
        gates=("private key", "putty-user-key"),
    ),
    _form("private key of age", "private_key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{40,}", "age-secret-key-1"),
    Form(
        category="secret.jwt",
        what="JSON Web Token",
        pattern=re.compile(r"\beyJ[A-Za-z0-9_-]{12,}(?:\.[A-Za-z0-9_-]*){0,4}=*"),
        gates=("eyj",),
        valid=_json_header,
    ),
    _form("AWS access key", "aws", r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b", "akia", "asia", "abia", "acca"),
    _form(
        "AWS secret key",
        "aws",
        r"(?i)\baws.{0,20}(?:key|pw|pass|token).{0,20}?[\"'=: ]([0-9A-Za-z/+]{40})(?![0-9A-Za-z/+=])",
        "aws",
        group=1,
    ),
    _form("GitHub token", "github", r"\bgh[pousr]_[A-Za-z0-9]{36,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _form("GitHub token", "github", r"\bgithub_pat_[A-Za-z0-9_]{30,}", "github_pat_"),
    _form("GitLab token", "gitlab", r"\bgl(?:pat|dt|ft|soat|rt|cbt|ptt|oas|imt|agent)-[\w-]{20,}", "gl"),
    _form("Slack token", "slack", r"\bxox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}", "xox"),
    _form("Slack token", "slack", r"\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{20,}", "xapp-"),
    _form("Slack web hook", "slack", r"https://hooks\.slack\.com/(?:services|workflows)/[\w/-]{20,}", "hooks.slack"),
    _form("Anthropic key", "anthropic", r"\bsk-ant-[\w-]{20,}", "sk-ant-"),
    _form("OpenAI key", "openai", r"\bsk-(?:proj|svcacct|admin|None)-[\w-]{20,}", "sk-"),
    _form("key that begins with sk-", "openai", r"\bsk-(?:or-v1-)?[A-Za-z0-9]{32,}\b", "sk-", score=0.9),
    _form("Google key", "google", r"\bAIza[\w-]{35}", "aiza"),
    _form("Google secret", "google", r"\bGOCSPX-[\w-]{28}", "gocspx-"),
    _form("Google token", "google", r"\bya29\.[\w-]{20,}", "ya29."),
    _form("Hugging Face token", "huggingface", r"\b(?:hf|api_org)_[A-Za-z]{34,}", "hf_", "api_org_"),
    _form("npm token", "npm", r"\bnpm_[A-Za-z0-9]{36}", "npm_"),
    _form("PyPI token", "pypi", r"\bpypi-AgE[\w-]{50,}", "pypi-age"),
    _form("Stripe key", "stripe", r"\b[sr]k_(?:live|test|prod)_[0-9A-Za-z]{16,}", "k_live", "k_test", "k_prod"),
    _form("Stripe secret of a web hook", "stripe", r"\bwhsec_[0-9A-Za-z+/]{24,}", "whsec_"),
    _form("DigitalOcean token", "digitalocean", r"\bdo[opr]_v1_[a-f0-9]{64}", "_v1_"),
    _form("Databricks token", "databricks", r"\bdapi[a-f0-9]{32}\b", "dapi"),
    _form("Groq key", "groq", r"\bgsk_[A-Za-z0-9]{40,}", "gsk_"),
    _form("xAI key", "xai", r"\bxai-[A-Za-z0-9]{60,}", "xai-"),
    _form("Replicate token", "replicate", r"\br8_[A-Za-z0-9]{37}", "r8_"),
    _form("Shopify token", "shopify", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shp"),
    _form("Linear key", "linear", r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,}", "lin_"),
    _form("Notion token", "notion", r"\bntn_[A-Za-z0-9]{40,}|\bsecret_[A-Za-z0-9]{43}\b", "ntn_", "secret_"),
    _form("Vault token", "vault", r"\bhv[sbr]\.[\w-]{24,}", "hvs.", "hvb.", "hvr."),
    _form("Microsoft Entra secret", "azure", r"(?<![\w~.])[\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~-])", "q~"),
    _form(
        "Azure key",
        "azure",
        r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{43,86}={0,2})",
        "accesskey=",
        "accountkey=",
        group=1,
    ),
    _form("SendGrid key", "sendgrid", r"\bSG\.[\w-]{22}\.[\w-]{43}", "sg."),
    Form(
        category="secret.url",
        what="password in a URL",
        pattern=re.compile(
            r"(?i)\b[a-z][a-z0-9+.-]{1,15}://[^:/?#\[\]@!$&'()*+,;=\s]{0,64}:([^:/?#\[\]@\s<>{}$*]{3,64})@"
        ),
        gates=("://",),
        score=0.9,
        group=1,
        valid=lambda value: not re.fullmatch(r"(?i)pass(?:word|wd)?|p(?:w|wd)|secret|tiger|x+|your.*", value),
    ),
    _form(
        "credentials of an HTTP request",
        "authorization",
        r"(?i)\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s{1,3}([\w.+/=~-]{16,})",
        "authorization",
        score=0.9,
        group=1,
    ),
)  # fmt: skip

# Of version 1.5. Not taken: the entropy plug-ins and `keyword`, for their false alarms (see design/guards.md);
# `ip_public`, personal data; `private_key` and `jwt`, which mark only where the secret begins; `azure_storage_key`,
# which takes the name along; `softlayer`, whose service is gone; `basic_auth`, which takes the "://a:b@" of examples;
# `artifactory`, whose short form is any word that begins with AP.
_PINNED = (
    ("aws", "AWSKeyDetector", "aws", ("akia", "asia", "a3t", "abia", "acca", "aws"), 1.0),
    ("cloudant", "CloudantDetector", "cloudant", ("cloudant",), 0.9),
    ("discord", "DiscordBotTokenDetector", "discord", ("discord", "bot", "token"), 0.9),
    ("github_token", "GitHubTokenDetector", "github", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), 1.0),
    ("gitlab_token", "GitLabTokenDetector", "gitlab", ("gl", "gr1348941"), 1.0),
    ("ibm_cloud_iam", "IbmCloudIamDetector", "ibm", ("ibm", "iam"), 0.8),
    ("ibm_cos_hmac", "IbmCosHmacDetector", "ibm", ("secret",), 0.8),
    ("mailchimp", "MailchimpDetector", "mailchimp", ("-us",), 0.9),
    ("npm", "NpmDetector", "npm", (":_authtoken",), 1.0),
    ("openai", "OpenAIDetector", "openai", ("t3blbkfj",), 1.0),
    ("pypi_token", "PypiTokenDetector", "pypi", ("pypi-age",), 1.0),
    ("sendgrid", "SendGridDetector", "sendgrid", ("sg.",), 1.0),
    ("slack", "SlackDetector", "slack", ("xox", "hooks.slack.com"), 1.0),
    ("square_oauth", "SquareOAuthDetector", "square", ("sq0csp-",), 1.0),
    ("stripe", "StripeDetector", "stripe", ("k_live_",), 1.0),
    ("telegram_token", "TelegramBotTokenDetector", "telegram", (":aa",), 0.9),
    ("twilio", "TwilioKeyDetector", "twilio", ("twilio",), 0.8),
)
_WHOLE = {"github_token", "gitlab_token"}
"""Their groups are parts of the token, not the token."""

CATEGORIES = frozenset(form.category for form in OWN) | {f"secret.{row[2]}" for row in _PINNED} | {"secret.password"}


def detect_secrets() -> list[Form]:
    """The pinned plug-ins' expressions, as forms. Their own loop works by lines and loses where a value stands.

    Raises:
        MissingExtraError: detect-secrets is not installed.
    """
    require("detect_secrets", extra="guards")
    plugins = [(row, getattr(import_module(f"{_DETECT}.{row[0]}"), row[1])) for row in _PINNED]
    return [
        Form(
            category=f"secret.{category}",
            what=plugin.secret_type,
            pattern=pattern,
            gates=gates,
            score=score,
            group=0 if module in _WHOLE else min(pattern.groups, 1),
        )
        for (module, _, category, gates, score), plugin in plugins
        for pattern in plugin.denylist
    ]
