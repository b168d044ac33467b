"""Letters that are drawn like Latin ones: from Unicode's `confusables.txt` (UTS #39), where one letter stands for one.

Added by hand: small capitals, and the Cyrillic and Greek letters that are drawn like small capitals.
"""

from __future__ import annotations

_FOREIGN = {
    "A": "ᗅ𐊠ᎪАΑꓮ𖽀",
    "a": "аꭰα",
    "B": "ᗷ𐊡ᏴВΒꓐ𐊂𐌁",
    "b": "ᑲᖯᏏЬвβ",
    "C": "𐊢ᏟⲤС𐐕𐔜ꓚ𐌂",
    "c": "ꮯⲥс𐐽",
    "D": "ᗞᗪᎠꓓ",
    "d": "ᑯᏧԁꓒ",
    "E": "ᎬЕΕꓰ𐊆ⴹ𑢦𑢮",
    "e": "еҽε",
    "F": "ᖴ𐊥𐔥Ϝꓝ𐊇𑣂𑢢",
    "f": "ք",
    "G": "ᏀᏳԌꓖ",
    "g": "ց",
    "H": "ᕼ𐋏ᎻⲎНΗꓧ",
    "h": "հᏂһн",
    "i": "ꭵᎥіꙇӏι𑣃",
    "J": "ᒍᎫЈͿꓙ",
    "j": "јϳ",
    "K": "ᏦⲔК𐔘Κꓗᛕ",
    "k": "кκ",
    "L": "ᒪᏞⳐ𐐛𐔦ꓡ𖼖𑢣𑢲",
    "l": "ⲒІӀΙꓲ𐊊𖼨𐌉ᛁⵏ",
    "M": "ᗰ𐊰ᎷⲘМΜϺꓟ𐌑ᛖ",
    "m": "м",
    "N": "Ⲛ𐔓Νꓠ",
    "n": "ոռпη",
    "O": "Օ𐊫ⲞО𐐄𐔖ዐΟꓳ𐊒ଠ𐓂ⵔ𑢵",
    "o": "օⲟо𐐬ჿοσഠဝ𐓪𑣈𑣗",
    "P": "ᑭᏢⲢРΡꓑ𐊕",
    "p": "ⲣрρ",
    "Q": "ⵕ",
    "q": "գզԛ",
    "R": "ᖇᎡᏒꓣ𖼵𐒴",
    "r": "ꮁⲅгᴦ",
    "S": "ՏᏕᏚЅ𐐠ꓢ𐊖𖼺",
    "s": "ꮪѕ𐑈𑣁",
    "T": "𐊱ᎢⲦТΤꓔ𐊗𖼊𐌕𑢼",
    "t": "тτ",
    "U": "Սᑌሀꓴ𖽂𐓎𑢸",
    "u": "սυ𐓶𑣘",
    "V": "ꛟᐯᏙѴ𐔝ꓦ𖼈ⴸ𑢠",
    "v": "𑜆ꮩѵν𑣀",
    "W": "ᎳᏔԜꓪ",
    "w": "𑜊𑜎𑜏աꮃѡԝшω",
    "X": "𐊴ⲬХ𐔧Χꓫ𐊐𐌗ᚷⵝ",
    "x": "ᕁᕽх",
    "Y": "𐊲ᎩᎽⲨУҮΥꓬ𖽃𑢤",
    "y": "уүყγ𑣜",
    "Z": "ᏃΖꓜ𑢩",
    "z": "ꮓ𑣄",
}

_LATIN = {
    "a": "ɑᴀ",
    "B": "Ꞵ",
    "b": "Ƅʙ",
    "c": "ᴄ",
    "d": "ᴅ",
    "e": "ꬲᴇ",
    "F": "Ꞙ",
    "f": "ꬵꞙẝꜰ",
    "g": "ɡᶃƍɢ",
    "h": "ʜ",
    "i": "ɪɩ",
    "J": "Ʝ",
    "j": "ᴊ",
    "k": "ᴋ",
    "l": "Ɩʟ",
    "m": "ᴍ",
    "n": "ɴ",
    "o": "ᴏᴑꬽ",
    "p": "ᴘ",
    "q": "ꞯ",
    "R": "Ʀ",
    "r": "ꭇꭈʀ",
    "s": "ꜱƽ",
    "t": "ᴛ",
    "u": "ꞟᴜꭎꭒʋ",
    "v": "ᴠ",
    "w": "ɯᴡ",
    "X": "Ꭓ",
    "y": "ɣᶌʏỿꭚ",
    "z": "ᴢ",
}


FOREIGN = {ord(other): letter for letter, others in _FOREIGN.items() for other in others}
"""Letters of other scripts → the Latin letter."""

LATIN = {ord(other): letter for letter, others in _LATIN.items() for other in others}
"""Latin letters of phonetics and small capitals → the plain letter. Those of living orthographies are left out."""

EMBLEMS = {
    **{first + i: chr(65 + i) for first in (0x1F130, 0x1F150, 0x1F170) for i in range(26)},
    **{0x1F1E6 + i: chr(65 + i) for i in range(26)},
}
"""Squared, negative circled and negative squared letters, and the letters that make flags."""
