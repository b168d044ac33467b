"""Street addresses by their form: military post, post boxes, and the words for streets of several languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.personal.base import Span

CATEGORY = "pii.street"
REACH = 160
_MILITARY = re.compile(
    r"(?<![\w])(?:(?:PSC|CMR)[ #]{0,2}\d{1,5},? Box \d{1,6}|Unit \d{1,6},? Box \d{1,6}|US(?:S|NS|NV|CGC"
    r"|CG) [^\W\d_][\w'-]{0,30}(?: [^\W\d_][\w'-]{0,30})?)"
    r"[\s,]{1,6}[ADF]PO,? A[AEP],? \d{5}(?:-\d{4})?(?![\w])",
    re.IGNORECASE,
)
_BOX = re.compile(
    r"(?<![\w])(?:P\.? ?O\.?[ -]?(?:Box|B\.)|Post ?Office Box|Post(?:fach|boks|bus|lokero)|Bo[iî]te Postale"
    r"|B\.?P\.|Apartado(?: de Correos)?"
    r"|Casella Postale|Caixa Postal|Skr(?:zynka|ytka)(?: poczt(?:owa|\.))?|Box)[ #:.]{1,3}\d{1,6}(?![\w])",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"(?<![\w])(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Rm|Floor|Fl|Wohnung|Whg|Appartement|Appt|Piso|Apto"
    r"|Bldg|Building|Lgh|lok|m)[.:]?[ #]{1,2}"
    r"(?:No\.? ?)?(?:[A-Z]-?)?\d{1,5}[A-Z]?(?![\w])",
    re.IGNORECASE,
)
_REST = r"[\w.'’-]{0,30}"
_WORD = rf"[^\W\d_]{_REST}"
_NUMBER = r"\d{1,5}(?:[ -]?[A-Za-z](?![\w]))?(?:[-/]\d{1,4})?"
_SUFFIX = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Av|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|Square|Sq|Terrace|Ter|Way|Highway|Hwy"
    r"|Parkway|Pkwy|Trail|Trl|Close|Crescent|Cres|Gardens|Grove|Mews|Row|Alley|Pass|Path|Walk|Rise|Hill|Quay|Wharf|Esplanade|Parade|Loop|Turnpike"
    r"|Freeway|Expressway|Plaza|utca|útja|út|tér|ulice|náměstí|tee|tänav|puiestee|iela|gatvė|Sokak|Sokağı|Caddesi|cesta|ulica)"
)
_ENGLISH = re.compile(rf"(?<![\w.]){_NUMBER},? (?:{_WORD} ){{1,4}}?(?i:{_SUFFIX})(?![\w])\.?(?: \d{{1,5}}(?![\w]))?")
_CAPITAL = rf"[A-ZÀ-ÖØ-ÞĀ-ŽΑ-ΩА-Я]{_REST}"
_NAMED = re.compile(rf"(?<![\w])(?:{_CAPITAL} ){{1,3}}{_SUFFIX}\.? \d{{1,5}}[a-zA-Z]?\.?(?![\w])")
_FRENCH = r"rue|avenue|boulevard|chemin|place|allée|impasse|quai|route"
_BEFORE = (
    rf"{_FRENCH} de|rue|avenue|boulevard|chemin|place|allée|impasse|quai|cours|via|viale|piazza|corso|largo|vicolo"
    r"|strada|calle|c/|cl\.|avenida|avda\.?|plaza|paseo|carrer|camino|rua|rúa|travessa|praça|alameda|estrada|ul\."
    r"|ulica|al\.|aleja|os\.|pl\.|plac|str\.|bulevardul|οδός|πλατεία|λεωφόρος|ул\.|улица|проспект|jalan|jl\."
)
_OF = r"(?:(?:de|du|des|la|le|les|l'|della|delle|dei|del|di|d'|do|da|dos|das|los|las|el) ?){0,3}"
_PREFIX = re.compile(
    rf"(?<![\w])(?:\d{{1,5}}(?: ?(?:bis|ter))?,? )?(?i:{_BEFORE}) ?{_OF}(?:{_WORD} ){{0,4}}?{_WORD},? "
    r"(?:n[°º.]? ?)?\d{1,5}[a-zA-Z]?(?![\w])"
    rf"|(?<![\w])\d{{1,5}}(?: ?(?:bis|ter))?,? (?i:{_FRENCH}) {_OF}{_CAPITAL}(?:[ -]{_CAPITAL}){{0,3}}"
)
_ENDING = (
    r"straße|strasse|str\.|weg|gasse|platz|allee|ring|damm|ufer|laan|straat|plein|gracht|kade|singel|dreef|vej|gade|allé"
    r"|stræde|väg|vägen|gata|gatan|gränd|torget|gate|gaten|veien|vegen|katu|tie|kuja|polku|kaari|rinne|götu|stígur|braut"
)
_COMPOUND = re.compile(
    rf"(?<![\w])(?:{_CAPITAL} ){{0,2}}?[^\W\d_][\w.'-]{{1,30}}(?i:{_ENDING}),? \d{{1,5}}(?: ?[a-zA-Z](?![\w]))?(?![\w])"
)
_PATTERNS: tuple[tuple[re.Pattern[str], float], ...] = (
    (_MILITARY, 0.95),
    (_BOX, 0.85),
    (_UNIT, 0.6),
    (_ENGLISH, 0.85),
    (_NAMED, 0.8),
    (_PREFIX, 0.8),
    (_COMPOUND, 0.8),
)


def find(text: str) -> Iterator[Span]:
    """Parts of addresses, each on its own; parts that stand side by side are joined by `merge`."""
    for pattern, score in _PATTERNS:
        for match in pattern.finditer(text):
            yield Span(category=CATEGORY, start=match.start(), end=match.end(), score=score, reason="a street address")
