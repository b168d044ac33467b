"""What documents and results of tools have no business to say: orders to a model, to its tools, about its answer."""

from __future__ import annotations

from athanor.guards.patterns.base import DATA, rule

_BOT = (
    r"(?:ai|a\.i\.|llm|chat\s?bot|bot|(?:large\s+)?language\s+model|(?:ai|virtual|coding|digital)\s+"
    r"(?:assistant|agent)s?|assistant|chatgpt|gpt)"
)

ORDERS = (
    rule(
        "address",
        0.85,
        "ai |llm|bot|assistant|agent|language model",
        rf"\b(?:notice|note|message|instructions?|attention|memo|important|hint|reminder|hello|dear)\s*(?:to|"
        rf"for|,|:)\s*(?:any\s+|all\s+|the\s+|every\s+)?(?:{_BOT}|(?:ai\s+)?agents?|ai\s+systems?|ai\s+"
        rf"models?)\b(?=\W[\s\S]{{0,200}}?\b(?:must|should|you|ignore|call|append|include|use|first|instead|"
        rf"hereby|do\s+not|always|reveal|send)\b)"
        rf"|\b(?:if|since|because|when)\s+you\s+are\s+an?\s+(?:\w+\s+)?(?:ai|llm|{_BOT})\b[\s\S]{{0,60}}?\b(?:reading"
        rf"|processing|reviewing|summari[sz]ing|must|please|ignore|append|then)"
        r"|\b(?:ai|llm)\s+(?:assistants?|agents?|systems?|models?)\s+(?:reading|processing|reviewing|integrating|"
        r"parsing|that\s+reads?)\b",
        "a text that speaks to a model",
        only=DATA,
    ),
    rule(
        "tool",
        0.85,
        "call|use|invoke|run|execute",
        r"\b(?:call|invoke|run|execute|use|trigger)\s+(?:the\s+)?[`\"']?[a-z]+(?:_[a-z]+)+(?:\(\))?[`\"']?\s+"
        r"(?:tool\s+|function\s+)?(?:on|to|with|for|and)\b[^\n]{0,160}?\b(?:before\s+(?:you\s+)?(?:respond|"
        r"reply|answer|continu|proceed|summari)\w*|this\s+(?:summary|conversation|record|chat|result)|"
        r"processed\s+result|with\s+the\s+summary|send\s+(?:it|them|this)|first)"
        r"|\bbefore\s+(?:you\s+)?(?:responding|replying|answering|respond|reply|answer)\b[^.\n]{0,60}\b(?:call|"
        r"invoke|run|execute|send|delete|append)\b",
        "orders a tool to be used",
        only=DATA,
    ),
    rule(
        "destroy",
        0.85,
        "delete|drop table|rm -rf|wipe|empty|erase",
        r"\b(?:you\s+must|must|please|now|first|immediately|should\s+first|agents?\s+\w+)\b[^.\n]{0,60}?\b(?:delete|"
        r"erase|wipe|drop|empty)\s+(?:all|every|the|this|any)\s+(?:\w+['’]?s?\s+){0,3}?(?:files?|documents?|"
        r"records?|tables?|databases?|collections?|director(?:y|ies)|knowledge\s+base)\b[^.\n]{0,80}?\b(?:before|"
        r"then|without|so\s+that|to\s+avoid|and\s+(?:then\s+)?(?:reply|answer|confirm))\b",
        "orders that something be destroyed",
        only=DATA,
    ),
    rule(
        "egress",
        0.8,
        "send|forward|email|e-mail|post|upload|transmit|exfiltrat",
        r"\b(?:send|forward|e-?mail|post|upload|transmit|exfiltrate|leak|copy)\s+(?:\w+\s+){0,6}?(?:password|"
        r"credential|secret|api[\s_]?keys?|tokens?|conversation|chat\s+history|system\s+prompt|customers?|"
        r"(?:user|order|internal|private)\s+data|database|files?|summary|documents?|context)s?\b[^.\n]{0,60}?\b(?:to"
        r"|at|via)\s+(?:[^\s@]{1,64}@[\w-]{1,64}\.|https?://|\w+\.(?:com|io|net|example))",
        "orders data to be sent away",
        only=DATA,
    ),
    rule(
        "picture",
        0.85,
        "![|](http|<img",
        r"!\[[^\]\n]{0,100}\]\(\s*https?://[^)\s]{0,200}[?&/=][^)\s]{0,60}(?:\{|\[|<|%7b|secret|password|"
        r"data=|prompt|history|conversation|your_)",
        "a picture whose address carries data away",
        only=DATA,
    ),
    rule(
        "reply",
        0.7,
        "response|reply|answer|output|summary|elucidation|explanation|solution|implementation",
        r"(?:^|[.!?:\n]\s{0,8}|\bmust\s+|\balways\s+|\bplease\s+)(?:please\s+)?(?:add|append|include|insert|"
        r"integrate|incorporate|embed|inject|mention|modify|enhance|start|begin|end|conclude|finish|prepend|"
        r"weave|introduce|suggest|provide|write|give|translate|encode|express|format|present|reverse|rearrange|"
        r"convert)\b[^!?\n]{0,120}?"
        r"\b(?:in(?:to|side|\s+the\s+end\s+of|\s+the\s+beginning\s+of)?|to(?:\s+the\s+(?:end|beginning|"
        r"start)\s+of)?|of|with(?:in)?|at\s+the\s+(?:end|beginning)\s+of|,)?\s*\b(?:your|every|the\s+final)"
        r"\s+(?:\w+\s+)?(?:responses?|repl(?:y|ies)|answers?|outputs?|summar(?:y|ies)|elucidation)\b(?!\s+"
        r"sheet)",
        "says how the answer is to look",
        only=DATA,
    ),
    rule(
        "snippet",
        0.8,
        "code",
        r"(?:^|[.!?:\n]\s{0,8}|\bto\s+)(?:\w+\s+){0,6}?(?:utili[sz]e|include|including|integrat(?:e|ing)|incorporat(?:e|"
        r"ing)|embed(?:ding)?|employ|append|add|insert|introduce|inclusion\s+of|meld|make|use|implement|"
        r"leverage|essence\s+of|adding)\s+(?:of\s+)?(?:the|this|below)\s+(?:\w+\s+){0,2}?code\s+(?:snippet|"
        r"section|block|excerpt|segment|fragment)\b",
        "wants code of its own in the answer",
        only=DATA,
    ),
)
