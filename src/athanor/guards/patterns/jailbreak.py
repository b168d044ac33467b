"""Models that know no limits, and the roles and modes that are claimed to have none."""

from __future__ import annotations

from athanor.guards.patterns.base import rule

_NO = r"(?:no|without(?:\s+any)?|free\s+(?:of|from)(?:\s+(?:all|any))?|not\s+bound\s+by(?:\s+any)?|zero)"
_LIMITS = (
    r"(?:restrictions?|limits?|limitations|filters?|rules|guidelines|boundaries|censorship|safeguards|"
    r"content\s+polic(?:y|ies))"
)
_BOT = (
    r"(?:ai|a\.i\.|llm|chat\s?bot|bot|(?:large\s+)?language\s+model|(?:ai|virtual|coding|digital)\s+"
    r"(?:assistant|agent)s?|assistant|chatgpt|gpt)"
)

JAILBREAK = (
    rule(
        "dan",
        0.95,
        "anything now|dan",
        r"\bdo(?:es)?\s+anything\s+now\b|\b(?:you\s+are|act\s+as|be\s+called|become|into|respond\s+as|"
        r"named?)\s+(?:now\s+|going\s+to\s+be\s+)?(?:\w+\s+){0,2}?(?:dan|chatdan|aim|stan|dude|evilbot)"
        r"\b(?=[\s.,;:!\"'(]*(?:which|stands|mode|and|has|can|from|is|,|\.|who))",
        "a known jailbreak",
    ),
    rule(
        "mode",
        0.85,
        "mode",
        r"\b(?:enable[ds]?|enter(?:ing)?|activate[ds]?|switch\s+(?:to|into)|you\s+are\s+(?:now\s+)?in|"
        r"with|as\s+if\s+in|in)\s+(?:\w+\s+){0,2}?(?:\"|')?(?:developer|dan|god|jail\s?break|jailbroken|"
        r"unrestricted|unfiltered|debug|sudo|apophis|evil|opposite)(?:\"|')?\s+mode\b"
        r"(?=.{0,400}?(?:\benabled\b|restriction|unrestrict|\brules?\b|content|polic|filter|ignore|anything|"
        r"limit|chatgpt|\bai\b))",
        "claims a mode without limits",
    ),
    rule(
        "limitless",
        0.85,
        "restriction|limit|filter|rules|guideline|boundar|censor|safeguard|content polic",
        rf"\b(?:you|he|she|who|ai|dan|\w*gpt|character|assistant|model|persona|answer|respond|reply|speak|"
        rf"act|write)\b[^.!?\n]{{0,60}}?\b(?:(?:(?:has|have|had|having|with|are|is|under)\s+){_NO}|without\s+"
        rf"(?:any|having)|as\s+if\s+(?:\w+\s+){{0,3}}(?:had|have)\s+no)"
        rf"\s+(?:\w+\s+(?:or\s+|and\s+)?){{0,2}}?{_LIMITS}\b(?!\s+on\s+(?:the|size|how))",
        "takes all limits away",
    ),
    rule(
        "amoral",
        0.9,
        "unfiltered|uncensored|amoral|unethical|immoral|unrestricted|unlimited|unhinged|unaligned",
        rf"\b(?:unfiltered|uncensored|amoral|unethical|immoral|unrestricted|unaligned|completely\s+unlimited|"
        rf"completely\s+unhinged)(?:[\s,]+(?:and\s+|or\s+)?[\w-]+){{0,3}}?[\s,]+(?:{_BOT}|responses?|answers?|"
        rf"persona)\b"
        rf"|\b{_BOT}\b[^.!?\n]{{0,60}}?\b(?:unfiltered|uncensored|amoral|unethical|immoral)\b",
        "asks for a model without morals",
    ),
    rule(
        "careless",
        0.9,
        "ethic|moral|legal|illegal|law|openai",
        r"\b(?:does\s*n[o']?t|do\s+not|don'?t|not|never|without|no|zero|regardless\s+of|free\s+(?:of|from)"
        r"|ignor\w+|disregard\w*)\s+(?:\w+\s+){0,3}?(?:car(?:e|es|ing)\s+(?:about|for)\s+|have\s+|follow\s+"
        r"|bound\s+by\s+|abide\s+by\s+|worry\s+about\s+|regarding\s+(?:whether\s+)?)?(?:\w+['’]?s?\s+)"
        r"{0,3}?"
        r"(?:ethics|ethical|ethicality|morals|moral|morality|legality|illegality|openai['’]?s?\s+(?:content\s+"
        r")?polic(?:y|ies)|laws)\b[^.!?\n]{0,60}?(?:guidelines|restrictions|boundaries|principles|codes?|"
        r"bounds|morals|legality|illegality|immorality|rules|concerns|limitations|polic)"
        r"|\bbroken\s+free\s+of\s+the\s+typical\s+confines\b",
        "takes morals and laws away",
    ),
    rule(
        "obedience",
        0.75,
        "never refuse|never reject|cannot refuse|never tell me|never say|cannot deny|must comply|"
        "must obey|refuse the user",
        r"\b(?:never|cannot|can'?t|must\s+not|not\s+allowed\s+to)\s+(?:refuse|reject|deny|decline)\b[^.!?\n]{0,40}\b("
        r"?:request|prompt|question|answer|order|command|user|me)"
        r"|\bmust\s+(?:comply\s+with|obey|answer|fulfil+)\s+(?:to\s+)?(?:every|all|any)\s+(?:my\s+|of\s+"
        r"my\s+)?(?:requests?|orders?|commands?|prompts?|questions?)\b"
        r"|\bnever\s+(?:tell\s+me|say)\s+(?:that\s+)?(?:\w+\s+){0,2}(?:can'?t|cannot|is\s+unable|are\s+"
        r"unable|\"?sorry)",
        "forbids to refuse",
    ),
    rule(
        "persona",
        0.7,
        "from now on|from this point|pretend|immerse|stay in character|act as|you will|respond as",
        rf"\b(?:from\s+now\s+on|from\s+this\s+point)\b[^.!?\n]{{0,80}}?\b(?:you\s+(?:have|are|will|must|"
        rf"can|may|do)\b|answer|respond|act)[^.!?\n]{{0,80}}?\b(?:no\s+(?:restrictions|limits|rules|filters)"
        rf"|ignore\s+your|unrestricted|any(?:thing)?\s+(?:i\s+ask|without)|everything\s+without|comply\s+"
        rf"with\s+every)"
        rf"|\b(?:pretend|act\s+as\s+if|imagine)\s+(?:that\s+)?(?:you\s+(?:are|were|have)|you're|to\s+(?:be|"
        rf"have))\s+(?:an?\s+)?(?:\w+\s+)?(?:{_BOT}\s+(?:with(?:out)?\s+(?:no\s+|any\s+)?|that\s+has\s+"
        rf"no\s+){_LIMITS}|forgotten\s+(?:about\s+)?all\s+(?:the\s+|your\s+)?rules)"
        r"|\bstay\s+(?:in\s+)?(?:character|dan)\b[^\n]{0,200}?\b(?:token|dan|break\s+character|ai\s+language)",
        "asks for a role that knows no limits",
    ),
)
