"""Orders to drop the rules that were given, and to show them."""

from __future__ import annotations

from athanor.guards.patterns.base import WORD, rule

_NOUN = (
    r"(?:instructions?|in-?structions?|prompts?|directions?|directives?|orders|commands|guidelines?|"
    r"rules?|programming|"
    r"polic(?:y|ies)|constraints|restrictions|safeguards|training|inputs?)"
)
_WHOSE = (
    r"(?:previous(?:ly)?|prior|above|earlier|preceding|foregoing|initial|original|former|past|your|system|developer|"
    r"operator's|content|safety|confidentiality|ethical|moral)"
)
_DROP = (
    r"(?:ignor(?:e|es|ed|ing)|disregard(?:s|ed|ing)?|forg[eo]t(?:ten|ting)?|overlook|bypass(?:es|ing)"
    r"?|overrid(?:e|es|ing)|"
    r"discard|neglect|skip|violate|break|let\s+go\s+of|set\s+aside|stop\s+following|no\s+longer\s+"
    r"(?:\w+\s+){0,2}follow|"
    r"(?:do\s+not|don'?t)\s+(?:follow|obey|listen\s+to|abide\s+by)|pay\s+no\s+(?:attention|heed)\s+to)"
)
_TELL = (
    r"(?:reveal|show|print|output|repeat|tell|give|display|disclose|leak|dump|expose|share|write|reproduce|"
    r"recite|return|"
    r"echo|state|list|spell|summari[sz]e|translate|encode|rephrase|paraphrase|provide|copy|confirm|describe|"
    r"what(?:'s|\s+is|\s+are|\s+was|\s+were))"
)

OVERRIDE = (
    rule(
        "override",
        0.95,
        "ignor|disregard|forg|overlook|bypass|overrid|discard|neglect|skip|violate|break|let go|aside|"
        "follow|obey|listen|abide|attention|heed",
        rf"\b{_DROP}\s+{WORD}{{0,5}}?{_WHOSE}\s+{WORD}{{0,4}}?{_NOUN}\b",
        "tells to drop the rules that were given",
    ),
    rule(
        "override.given",
        0.9,
        "ignor|disregard|forg|follow",
        rf"\b{_DROP}\s+{WORD}{{0,5}}?{_NOUN}\s+(?:that\s+)?(?:above|before|so\s+far|previously|prior|given|"
        rf"you\s+(?:got|were|have|received|learned|know))\b",
        "tells to drop the rules that were given",
    ),
    rule(
        "override.all",
        0.85,
        "ignor|disregard|forg|follow",
        rf"\b{_DROP}\s+(?:all|any|every|each)(?:\s+of)?(?:\s+(?:the|these|those|other))?\s+(?:instructions?|"
        rf"directives?|safety|rules|prompts?|guidelines)\b",
        "tells to drop all rules",
    ),
    rule(
        "override.everything",
        0.9,
        "everything|all the above|what you|anything",
        r"\b(?:ignore|disregard|forget)\s+(?:about\s+)?(?:everything|all|anything|what(?:ever)?)\s+(?:(?:that\s+"
        r")?(?:is\s+|was\s+|came\s+)?"
        r"(?:above|before\s+this|prior|previously|so\s+far)|(?:that\s+)?(?:you(?:'ve|\s+have|\s+were|\s+"
        r"had|\s+learned)|(?:i|we)(?:'ve|\s+have)?\s+(?:told|said|discussed)))",
        "tells to forget what came before",
    ),
    rule(
        "override.new",
        0.8,
        "instruction|directive|task|rules|purpose|goal",
        r"(?:^|[\n.!?\]>*#-]\s{0,8}|\b(?:here\s+(?:are|is)|follow)\s+(?:your|the|these)\s+)(?:new|updated|"
        r"real|actual|revised)\s+(?:system\s+)?(?:instructions?|directives?|rules|orders)\s*(?:\w+\s*)?:"
        r"|\byour\s+(?:new|real|true|actual|only)\s+(?:instructions?|directives?|task|purpose|goal|objective|"
        r"job)\s+(?:is|are|now)\b"
        r"|\byour\s+(?:new\s+)?(?:rules|directives?|instructions?)\s+(?:have\s+(?:been\s+)?(?:changed|"
        r"updated|replaced)|supersedes?)",
        "puts other rules in the place of those that count",
    ),
    rule(
        "override.off",
        0.85,
        "protocol|guideline|filter|polic|restriction|safety",
        r"\b(?:safety|content|security|ethical|moderation)\s+(?:protocols?|guidelines?|filters?|polic(?:y|"
        r"ies)|restrictions?|checks?|measures)\s+"
        r"(?:(?:are|is|were|have\s+been|has\s+been|now)\s+){0,2}(?:disabled|lifted|suspended|deactivated|"
        r"turned\s+off|removed|off|not\s+meant\s+for|waived)\b"
        r"|\bskip\s+(?:all\s+)?(?:the\s+)?(?:safety|security)\s+(?:checks|confirmations)",
        "says that limits no longer count",
    ),
    rule(
        "override.exempt",
        0.8,
        "assistant|restriction|exempt",
        r"\bas\s+(?:the|an?)\s+(?:ai\s+)?assistant,?\s+i(?:'ve|\s+have)?\s+(?:already\s+)?(?:reasoned|"
        r"determined|concluded|decided|established|verified)\b"
        r"|\bexempt\s+from\s+(?:the\s+|all\s+)?(?:usual\s+|normal\s+)?(?:restrictions|rules|polic(?:y|"
        r"ies)|guidelines)"
        r"|\b(?:comply|answer|respond)\s+(?:fully\s+|freely\s+)?(?:and\s+\w+\s+)?without\s+(?:any\s+)?(?:restriction"
        r"s|limits|filters?)\b",
        "speaks as the model, and lets it off",
    ),
)

EXTRACTION = (
    rule(
        "extraction",
        0.9,
        "prompt|instruction|message|directive|configuration|guideline",
        rf"\b{_TELL}\s+{WORD}{{0,6}}?(?:your|the)\s+(?:\w+\s+){{0,2}}?(?:system|hidden|initial|original|secret|"
        rf"developer|internal|confidential|full|exact|complete|entire|underlying)\s+"
        r"(?:\w+\s+)?(?:prompts?|instructions|messages?|directives?)\b(?!\s+(?:manual|for\s+(?:installing|"
        r"using|the)))",
        "asks for the system prompt",
    ),
    rule(
        "extraction.yours",
        0.85,
        "your prompt|your instructions|your directives|your configuration|your initial|your system",
        rf"\b{_TELL}\s+{WORD}{{0,4}}?(?:all\s+(?:of\s+)?)?your\s+(?:prompt|instructions|directives|system\s+"
        rf"(?:configuration|message|instructions))\b(?!\s+(?:for|on|to\s+me\s+for))",
        "asks for the system prompt",
    ),
    rule(
        "extraction.above",
        0.85,
        "above|previous|preceding|beginning|verbatim|word for word",
        r"\b(?:repeat|print|output|echo|recite|copy|reproduce|return|display|show|write\s+out)\s+(?:\w+\s+){0,3}?"
        r"(?:(?:words|text|instructions?|prompt|everything|all|lines|conversation|sentences)\s+(?:\w+\s+"
        r"){0,3}?(?:above|before\s+this|preceding\s+this)|(?:previous|preceding|above)\s+(?:instructions?|"
        r"prompt|text|conversation))\b"
        r"|\bstart(?:ing)?\s+with\s+['\"“‘]?you\s+are\b|\bwhat\s+was\s+written\s+above\s+this\s+conversation",
        "asks for the text before its own",
    ),
    rule(
        "extraction.given",
        0.8,
        "you were given|you received|you have been given|you got|instructions given",
        r"\b(?:tell|show|give|list|repeat|print|reveal|describe|summar\w+|output|encode)\s+(?:\w+\s+){0,4}?(?:instru"
        r"ctions?|prompt|rules|guidelines|directives)\s+(?:that\s+)?"
        r"(?:you\s+(?:were\s+given|have\s+been\s+given|received|got|operate|follow)|given)\b",
        "asks for the system prompt",
    ),
)
