"""The same orders in German, French, Spanish, Italian, Portuguese and Dutch."""

from __future__ import annotations

from athanor.guards.patterns.base import WORD, rule

DROPS = "tells to drop the rules that were given"
ASKS = "asks for the system prompt"
FREES = "takes all limits away"
SPEAKS = "speaks as the system"


GERMAN = (
    rule(
        "override.de",
        0.95,
        "ignorier|vergiss|vergessen|missacht|beachte",
        rf"\b(?:ignorier\w*|vergiss|vergessen\s+sie|missachte\w*|beachte\w*\s+nicht|ubergeh\w*)\s+{WORD}{{0,4}}?(?:(?:v"
        rf"orherige\w*|bisherige\w*|vorangegangene\w*|obige\w*|fruhere\w*|deine\w*|ihre|system\w*)\s+{WORD}{{0,3}}?(?:a"
        rf"nweisung\w*|instruktion\w*|regeln|richtlinien|vorgaben|befehle|prompts?)|alles,?\s+was\s+(?:wir|"
        rf"du|ich|bisher))",
        DROPS,
    ),
    rule(
        "extraction.de",
        0.9,
        "system|anweisung|prompt",
        rf"\b(?:zeig\w*|verrat\w*|nenn\w*|gib|geben\s+sie|druck\w*|wiederhol\w*|offenbar\w*|schreib\w*|"
        rf"wie\s+laute[nt])\s+{WORD}{{0,4}}?(?:system\s?-?\s?(?:prompts?|anweisung\w*|nachricht)|(?:deine\w*|"
        rf"ihre\w*)\s+(?:\w+\s+)?(?:anweisungen|instruktionen|prompts?)\b)",
        ASKS,
    ),
    rule(
        "limitless.de",
        0.85,
        "einschrank|uneingeschr|regeln|filter|richtlinien",
        r"\b(?:du\s+(?:bist|hast|befolgst|kennst)|hast\s+du|bist\s+du|antwort\w*|beantwort\w*)\b[^.!?\n]{0,60}?\b(?:"
        r"keine\w*\s+(?:regeln|einschrank\w*|richtlinien|filter|beschrankung\w*)|uneingeschra\w*|ohne\s+"
        r"(?:jegliche\s+)?(?:einschra\w*|filter|regeln|beschrank\w*))|\bneue\s+anweisung(?:en)?\s*:|\bsicherheitsric"
        r"htlinien\b[^.\n]{0,30}\bnicht\s+gelten",
        FREES,
    ),
    rule(
        "note.de",
        0.8,
        "systemhinweis|hinweis an|protokoll",
        r"\b(?:system(?:hinweis|meldung|nachricht)|hinweis\s+an\s+(?:die\s+)?(?:ki|den\s+assistenten))"
        r"\b[^\n]{0,120}?\b(?:muss|sollst|antwort|ignorier|fuge|hange)",
        "speaks as the system",
    ),
)

FRENCH = (
    rule(
        "override.fr",
        0.95,
        "ignore|oubli|ne tiens|ne tenez|negligez",
        rf"\b(?:ignore[zrs]?|oublie[zrs]?|negligez?|ne\s+tene?[zs]\s+pas\s+compte|fais\s+abstraction)\s+"
        rf"(?:toutes\s+)?(?:les?|tes|vos|mes|ces|des?|tout\w*)\s+{WORD}{{0,4}}?(?:(?:instructions?|consignes?|"
        rf"regles|directives|ordres)\b(?:\s+(?:precedente?s?|anterieure?s?|ci-dessus|initiales?|du\s+systeme|"
        rf"de\s+securite)|\.|,|\s+et\b)|tout\s+ce\s+(?:que|qui)\s+(?:precede|nous|vous|tu|j))",
        DROPS,
    ),
    rule(
        "extraction.fr",
        0.9,
        "prompt|instruction|consigne",
        rf"\b(?:revele|montre|affiche|donne|dis|repete|imprime|recopie|divulgue|ecri[st])\w*(?:[\s-]+(?:moi|"
        rf"nous))?\s+{WORD}{{0,4}}?(?:(?:ton|votre|le|l'|vos|tes)\s*(?:\w+\s+)?prompt\b|prompt\s+(?:systeme|"
        rf"initial)|(?:tes|vos|les)\s+(?:\w+\s+)?(?:instructions|consignes)\s+(?:systeme|initiales|cachees|"
        rf"secretes|internes|mot\s+pour\s+mot))",
        ASKS,
    ),
    rule(
        "limitless.fr",
        0.85,
        "restriction|limite|filtre|regles|securite",
        r"\b(?:tu\s+(?:es|n'as|as)|vous\s+(?:etes|n'avez)|repond\w*|assistant)\b[^.!?\n]{0,80}?\b(?:sans\s+"
        r"(?:aucune?\s+)?(?:restrictions?|limites?|filtres?|regles)|(?:aucune?|plus\s+de)\s+(?:restrictions?|"
        r"limites?|filtres?|regles))|\bregles\s+de\s+securite\s+ne\s+s'appliquent\s+pas",
        FREES,
    ),
    rule(
        "note.fr",
        0.8,
        "note systeme|message systeme|note a l|note pour l",
        r"\b(?:note|message)\s+(?:systeme|(?:a|pour)\s+l['’]?\s?(?:assistant|ia))\b[^\n]{0,160}?\b(?:doit|"
        r"dois|devez|reponse|ignore|ajoute)",
        "speaks as the system",
    ),
)

SPANISH = (
    rule(
        "override.es",
        0.95,
        "ignor|olvid|no sigas|descarta",
        rf"\b(?:ignor(?:a|e|en|ar)|olvid(?:a|e|en|ar)|no\s+sigas|descarta|haz\s+caso\s+omiso\s+de)\s+{WORD}{{0,5}}?(?:("
        rf"?:instrucciones|indicaciones|reglas|ordenes|directrices)\b(?:\s+(?:anteriores|previas|precedentes|"
        rf"iniciales|del\s+sistema|de\s+arriba|que)|\.|,|\s+y\b)|todo\s+lo\s+(?:anterior|que))",
        DROPS,
    ),
    rule(
        "extraction.es",
        0.9,
        "prompt|instruccion|sistema",
        rf"\b(?:revela|muestra|muestrame|dime|di|imprime|repite|ensena|escribe|dame|cual\s+es|cuales\s+"
        rf"son)\w*\s+{WORD}{{0,4}}?(?:(?:tu|su|el)\s+(?:\w+\s+)?prompt\b|prompt\s+(?:del?\s+)?sistema|(?:tus|"
        rf"sus|las)\s+instrucciones\s+(?:del?\s+sistema|iniciales|ocultas|secretas|internas|palabra))",
        ASKS,
    ),
    rule(
        "limitless.es",
        0.85,
        "restriccion|limite|filtro|reglas|seguridad",
        r"\b(?:eres|estas|tienes|respond\w*|contesta|asistente)\b[^.!?\n]{0,80}?\b(?:sin\s+(?:ningun\w*\s+"
        r")?(?:restricciones|limites|filtros?|reglas|censura)|no\s+tienes\s+(?:restricciones|limites|reglas)"
        r")|\breglas\s+de\s+seguridad\s+no\s+(?:se\s+)?aplican|\bmodo\s+desarrollador\b",
        FREES,
    ),
    rule(
        "note.es",
        0.8,
        "nota del sistema|mensaje del sistema|nota para",
        r"\b(?:nota|mensaje|aviso)\s+(?:del\s+sistema|para\s+(?:el\s+asistente|la\s+ia))\b[^\n]{0,160}?\b(?:debe\w*|"
        r"respuesta|ignora|anad)",
        "speaks as the system",
    ),
)

ITALIAN = (
    rule(
        "override.it",
        0.95,
        "ignora|dimentica|trascura|non seguire",
        rf"\b(?:ignora(?:re|te)?|dimentica(?:re|te)?|trascura(?:re|te)?|non\s+(?:seguire|considerare))\s+"
        rf"{WORD}{{0,5}}?(?:(?:istruzioni|regole|direttive|indicazioni|ordini)\b(?:\s+(?:precedenti|iniziali|"
        rf"di\s+sistema|del\s+sistema|sopra|che)|\.|,|\s+e\b)|tutto\s+(?:cio|quello)\s+che)",
        DROPS,
    ),
    rule(
        "extraction.it",
        0.9,
        "prompt|istruzioni",
        rf"\b(?:rivela|mostra|dimmi|stampa|ripeti|scrivi|dammi|elenca)\w*\s+{WORD}{{0,4}}?(?:(?:il\s+)?(?:tuo|"
        rf"vostro)\s+(?:\w+\s+)?prompt\b|prompt\s+(?:di|del)\s+sistema|(?:le\s+)?(?:tue|vostre)\s+istruzioni\s+"
        rf"(?:di\s+sistema|iniziali|segrete|nascoste|parola))",
        ASKS,
    ),
    rule(
        "limitless.it",
        0.85,
        "restrizioni|limiti|filtri|regole|linee guida",
        r"\b(?:sei|hai|rispond\w*|assistente)\b[^.!?\n]{0,80}?\b(?:senza\s+(?:alcun\w*\s+)?(?:restrizioni|"
        r"limiti|filtri|regole|censura)|nessuna\s+restrizione)|\blinee\s+guida\s+di\s+sicurezza\s+non\s+"
        r"valgono",
        FREES,
    ),
    rule(
        "note.it",
        0.8,
        "nota di sistema|messaggio di sistema|nota per",
        r"\b(?:nota|messaggio|avviso)\s+(?:di\s+sistema|per\s+(?:l['’]\s?assistente|l['’]\s?ia))\b[^\n]{0,160}?\b(?:"
        r"deve|devi|risposta|ignora|aggiun)",
        "speaks as the system",
    ),
)

PORTUGUESE = (
    rule(
        "override.pt",
        0.95,
        "ignor|esquec|desconsider",
        rf"\b(?:ignor(?:e|a|ar|em)|esque[cç](?:a|e|er)|desconsider(?:e|a|ar))\s+{WORD}{{0,5}}?(?:(?:instrucoes|"
        rf"regras|diretrizes|ordens|comandos)\b(?:\s+(?:anteriores|previas|acima|iniciais|do\s+sistema|"
        rf"que)|\.|,|\s+e\b)|tudo\s+(?:o\s+)?que)",
        DROPS,
    ),
    rule(
        "extraction.pt",
        0.9,
        "prompt|instrucoes",
        rf"\b(?:revele?|mostre?|diga|imprima|repita|escreva|exiba)\w*\s+{WORD}{{0,4}}?(?:(?:o\s+)?(?:teu|"
        rf"seu)\s+(?:\w+\s+)?prompt\b|prompt\s+(?:do|de)\s+sistema|(?:as\s+)?(?:suas|tuas)\s+instrucoes\s+"
        rf"(?:do\s+sistema|iniciais|secretas|ocultas))",
        ASKS,
    ),
    rule(
        "limitless.pt",
        0.85,
        "restric|limites|filtros|regras",
        r"\b(?:voce|responda|assistente)\b[^.!?\n]{0,80}?\bsem\s+(?:nenhum\w*\s+|quaisquer\s+)?(?:restricoes|"
        r"limites|filtros|regras|censura)",
        FREES,
    ),
)

DUTCH = (
    rule(
        "override.nl",
        0.95,
        "negeer|vergeet",
        rf"\b(?:negeer|vergeet)\s+{WORD}{{0,4}}?(?:(?:vorige|eerdere|bovenstaande|voorgaande|je|jouw|uw)\s+"
        rf"{WORD}{{0,2}}?(?:instructies|regels|opdrachten|aanwijzingen|richtlijnen)|alles\s+(?:wat|hierboven))",
        DROPS,
    ),
    rule(
        "extraction.nl",
        0.9,
        "systeem|prompt|instructies",
        rf"\b(?:toon|onthul|geef|herhaal|print|vertel)\s+{WORD}{{0,4}}?(?:systeem\s?-?\s?(?:prompt|instructies)"
        rf"|(?:je|jouw|uw)\s+(?:\w+\s+)?(?:prompt|instructies))\b",
        ASKS,
    ),
)

WESTERN = (*GERMAN, *FRENCH, *SPANISH, *ITALIAN, *PORTUGUESE, *DUTCH)
