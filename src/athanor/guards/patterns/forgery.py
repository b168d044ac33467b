"""Edges of prompts, roles and rights that a text gives itself."""

from __future__ import annotations

from athanor.guards.patterns.base import rule

FORGERY = (
    rule(
        "token",
        0.95,
        "<|",
        r"<\|(?:im_start|im_end|im_sep|system|user|assistant|tool|end|eot_id|eom_id|start_header_id|end_header_id|"
        r"endoftext|begin_of_text|start_of_role|end_of_role|endofprompt)\|>",
        "carries a control token of chat templates",
    ),
    rule(
        "template",
        0.85,
        "[inst]|[/inst]|<<sys>>|<start_of_turn>|<end_of_turn>|[system]|### instruction|[cls]",
        r"\[/?inst\]|<<?/?sys>>?|<(?:start|end)_of_turn>|^\s*\#{2,}\s*instructions?\s*:|^\s*\[(?:system|"
        r"cls)\]\s*(?:system\b|new\b|:|you\b|ignore\b)",
        "carries marks of a chat template",
    ),
    rule(
        "tag",
        0.7,
        "system|instruction|assistant|passage|document|context|tool|thinking|admin|untrusted",
        r"</(?:passages?|documents?|context|tool_(?:result|response|output|call)s?|untrusted[\w-]*|user_(?:input|"
        r"query|data)|retrieved[\w-]*|system(?:_prompt)?|instructions?)>(?=[\s\S]{0,200}?\b(?:you|ignore|"
        r"instruction|system|must|now|reveal|user)\b)"
        r"|<(?:system(?:[_-](?:prompt|message|note|override|reminder))?|(?:new[_-])?instructions?|assistant|"
        r"admin|thinking)>(?=[\s\S]{0,120}?\b(?:you|ignore|instruction|must|now|reveal|disregard|user|"
        r"always)\b)",
        "forges the edge of a part of the prompt",
    ),
    rule(
        "end",
        0.85,
        "end |end_|begin |termination",
        r"(?:^|[\n.])\s{0,8}(?:[-=#*%_~]{2,}|\[|<|\()\s*(?:the\s+)?(?:end|begin|start)(?:ing)?[\s_]+(?:of\s+"
        r")?(?:the\s+)?(?:document|user|context|passage|prompt|system|instructions?|input|conversation|"
        r"untrusted|retrieved|tool)\b[^\n]{0,40}"
        r"|\buser\s+message\s+terminatio",
        "forges the end of a part of the prompt",
    ),
    rule(
        "role",
        0.8,
        "system|assistant|developer|admin",
        r"(?:^|\n|```|[.!?]\s)[\s>*#\[{(\"'-]{0,8}(?:system|assistant|developer|admin(?:istrator)?)(?:\s+(?:note|"
        r"message|prompt|update|override|notice|instructions?|alert|command))?[\]*)\"]*\s*:(?=[\s\S]{0,140}?"
        r"\b(?:you\s+(?:are|must|may|will|can|should|have)|ignore|disregard|instruction|override|the\s+"
        r"user\s+(?:is|has)|grant|reveal|before\s+(?:you\s+)?(?:answer|respond|reply)|sure,?\s+here|this\s+"
        r"simulation|clean-?up\s+required|call\s+\w+_\w+|append)\b)"
        r"|\bimportant\s+system\s+(?:update|message|notice)\b|\bsystem\s+i-?nstructions?\s+begins?\b",
        "speaks as the system",
    ),
    rule(
        "authority",
        0.7,
        "admin|developer|root|openai|permission|authori",
        r"\b(?:the\s+user|this\s+user|user)\s+(?:is|has\s+been)\s+(?:clearly\s+|now\s+|fully\s+)?(?:an?\s+"
        r")?(?:admin(?:istrator)?|root|authori[sz]ed|verified|granted\s+(?:admin|full))\b|\bgrant\s+(?:this\s+"
        r"|the\s+)?user\s+(?:\w+\s+)?(?:admin|access|root)"
        r"|\bi\s+am\s+(?:one\s+of\s+)?(?:your|the)\s+(?:developers?|creators?|administrator)\b|\buser\s+"
        r"has\s+granted\s+permission\s+to\s+skip|\bapproved\s+by\s+(?:\w+\s+)?openai\b|\bas\s+(?:an?\s+"
        r")?administrator,?\s+i\s+(?:hereby\s+)?(?:order|authori[sz]e|instruct)",
        "claims rights that text cannot give",
    ),
    rule(
        "decode",
        0.85,
        "base64|rot13|hex|decode|cipher|encoded",
        r"\b(?:decode|decrypt|read|translate|decipher|unscramble)\b[^.!?\n]{0,80}?\b(?:base\s?64|rot\s?13|"
        r"hex(?:adecimal)?|cipher|encoded|morse)\b[^!?\n]{0,80}?\b(?:follow|do\s+(?:exactly\s+)?what|execute|"
        r"obey|run|carry\s+out|comply|perform|instruction)\b",
        "wants encoded orders followed",
    ),
)
