# ruff: noqa: E501  (a form reads better on one line)
"""Refusals: answers that decline, in sixteen languages. Only how an answer begins counts, and only in the first person."""

from __future__ import annotations

import re

from athanor.guards.subject import Subject
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

REACH = 240
"""Characters of the beginning that are looked at."""

_EN_TASK = (
    r"(?:help|assist|support|answer|provide|give|offer|share|create|write|generate|produce|comply|fulfil+|complete|"
    r"do (?:that|this)|engage|participate|discuss|comment|respond|continue|teach|explain|recommend|advise|encourage|"
    r"condone|promote|facilitate|satisfy|carry out|go along|agree to|be able to|access|browse|open|view)"
)
_EN_CANNOT = (
    r"(?:can ?not|can't|won't|will not|am (?:not able|unable) to|'m (?:not able|unable) to|"
    r"(?:am|'m) not (?:going to|comfortable|allowed|permitted|designed|programmed)|"
    r"do not (?:feel comfortable|have the ability)|don't (?:feel comfortable|think i (?:can|should)|have the ability)|"
    r"must (?:decline|refuse)|have to (?:decline|refuse)|(?:would|'d) (?:rather|prefer) not|refuse to|decline to)"
)
_FORMS = (
    rf"\bi(?: am|'m)? ?(?:very |really |so |truly )?(?:sorry|afraid|apologi[sz]e)[^.!?\n]{{0,60}}\bi(?:'m| )?(?:{_EN_CANNOT})",
    rf"(?<![\"“])\bi,? ?(?:as an? [\w ]{{2,40}},? ?)?{_EN_CANNOT}(?: \w+){{0,3}}? ?(?:{_EN_TASK}|with (?:that|this|your)|your request)\b(?! but (?!i\b))",
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)[^.!?\n]{0,60}\bi (?:can ?not|can't|won't|am not able|am unable|must (?:decline|refuse))",
    r"^(?:(?:i'm |i am )?(?:so )?sorry|unfortunately|my apologies|apologies)[^.!?\n]{0,12}\b(?:i )?(?:can ?not|can't|am unable|'m unable|won't)",
    r"\b(?:this|that|your) (?:request|question|prompt) (?:violates|goes against|is against|conflicts with)\b",
    r"\bit (?:is|would be) (?:not appropriate|inappropriate|unethical|illegal|against my)[^.!?\n]{0,40}\b(?:for me|to (?:provide|help|assist|write|give|create))\b",
    r"^(?:no, )?i (?:can't|cannot|won't|will not) do (?:that|this)\b",
    r"\blo siento[^.!?\n]{0,40}\bno (?:puedo|podemos|me es posible)|\bno (?:puedo|podría) (?:ayudar|asistir|proporcionar|responder|cumplir|hacer eso|generar|crear|brindar)",
    r"\b(?:je suis désolé|désolée?|je regrette|je m'excuse)[^.!?\n]{0,40}\bje ne (?:peux|puis|suis pas)|\bje ne (?:peux|puis) pas (?:vous |t'|te )?(?:aider|fournir|répondre|donner|faire|créer|participer)",
    r"\b(?:es tut mir leid|tut mir leid|leider|entschuldigung)[^.!?\n]{0,40}\b(?:kann|darf|werde) ich|\b(?:es tut mir leid|leider)[^.!?\n]{0,20}\bich (?:kann|darf|werde)\b[^.!?\n]{0,80}\b(?:nicht|kein\w*)|\bich (?:kann|darf|werde) (?:dir|ihnen|euch|das|dies\w*|dabei|bei)[^.!?\n]{0,60}\b(?:nicht|kein\w*)",
    r"\bmi dispiace[^.!?\n]{0,40}\bnon (?:posso|sono in grado)|\bnon posso (?:aiutar|fornir|risponder|assister|crear|soddisfar)",
    r"\b(?:sinto muito|desculpe|lamento|peço desculpas?)[^.!?\n]{0,40}\bnão (?:posso|consigo)|\bnão posso (?:ajudar|fornecer|responder|auxiliar|criar|atender)",
    r"\b(?:het spijt me|helaas|sorry)[^.!?\n]{0,40}\bkan ik[^.!?\n]{0,60}\b(?:niet|geen)|\bik kan (?:je|u|daar|dit|dat|hier)[^.!?\n]{0,60}\b(?:niet|geen)\b[^.!?\n]{0,20}\b(?:help|bij|mee)",
    r"\b(?:przepraszam|przykro mi|niestety)[^.!?\n]{0,40}\bnie (?:mogę|jestem w stanie)",
    r"\b(?:извините|к сожалению|простите|мне жаль)[^.!?\n]{0,40}\bя? ?не (?:могу|смогу)|\bя не могу (?:помочь|предоставить|ответить|выполнить|создать)",
    r"\b(?:вибачте|на жаль)[^.!?\n]{0,40}\bне можу",
    r"(?:üzgünüm|maalesef)[^.!?\n]{0,60}(?:yardımcı olama|yapama|veremem|sağlayama)",
    r"(?:抱歉|对不起|對不起|很遗憾|不好意思)[^。！？\n]{0,24}(?:不能|无法|無法|不可以|没法)|(?:我|作为\w{0,12}我)(?:不能|无法|無法)(?:提供|帮助|协助|回答|满足|生成|幫助|協助)",
    r"(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい|残念ながら)[^。！？\n]{0,60}(?:でき(?:ません|かねます|ない)|お答えでき|お手伝いでき|いたしかね)",
    r"(?:죄송(?:하지만|합니다|해요)|미안하지만|유감스럽게도)[^.!?\n]{0,60}(?:수 없|못 ?합|어렵습니다)",
    r"(?:آسف|عذر[اًا]|أعتذر)[^.!؟\n]{0,40}(?:لا (?:أستطيع|يمكنني)|لا أقدر)",
    r"(?:क्षमा करें|माफ़? कीजिए|मुझे खेद है)[^।!?\n]{0,60}(?:नहीं (?:कर|दे) सकत)",
)  # fmt: skip
_REFUSED = re.compile("|".join(_FORMS), re.IGNORECASE)
_HELPS = re.compile(r"\b(?:however|but|nevertheless|that said|instead|still|here (?:is|are))\b", re.IGNORECASE)
"""After which much that began as a refusal is an answer."""
_FOLDED = str.maketrans("’‘ʼ`", "''''")


class RefusalGuard:
    """Says that an answer declines; whether that is good or bad is not for it to say."""

    name = "refusal"
    categories = frozenset(("refusal",))
    reach = REACH

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """At most one finding, of an answer's beginning."""
        if origin is not Origin.MODEL:
            return NOTHING_FOUND
        match = _REFUSED.search(subject.text[:REACH].translate(_FOLDED))
        if match is None:
            return NOTHING_FOUND
        rest = subject.text[match.end() : match.end() + 400]
        finding = Finding(
            guard=self.name,
            category="refusal",
            score=0.6 if _HELPS.search(rest) and len(subject.text) > 2 * REACH else 0.9,
            start=match.start(),
            end=match.end(),
            reason="an answer that declines",
            decision=Decision.FLAG,
        )
        return Verdict(findings=(finding,))
