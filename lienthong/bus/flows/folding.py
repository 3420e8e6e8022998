"""Text as people type it when they search: without diacritics, capitals and punctuation."""

from __future__ import annotations

import re
import unicodedata

# Eth stands in for Đ in old Vietnamese texts; the two cannot be told apart by eye.
_STROKE = str.maketrans({"đ": "d", "Đ": "d", "ð": "d", "Ð": "d"})
_MARKS = dict.fromkeys(range(0x300, 0x370))
_BETWEEN_WORDS = re.compile(r"[^0-9a-z]+")
_NO_LETTERS = re.compile(r"[\W_]+")
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")


def fold(text: str) -> str:
    """Reduce a text to lower-case words of a-z and 0-9 with one blank between: `Đăng ký` becomes `dang ky`.

    Composed and decomposed letters come to the same. What has no Latin base letter is left out.
    """
    letters = unicodedata.normalize("NFKD", text.translate(_STROKE)).casefold()
    return _BETWEEN_WORDS.sub(" ", letters.translate(_MARKS)).strip()


def spoken(text: str) -> str:
    """Reduce a name so that only ways of writing vanish: `Xã HÒA BÌNH` and `xã Hoà  Bình` come to the same.

    Capitals, blanks, punctuation, composition, and the letter that bears the tone are left out of account. Words
    that are spoken differently stay different: Sơn Hà and Sơn Hạ are two communes of one province.
    """
    words = _NO_LETTERS.split(unicodedata.normalize("NFC", text).casefold())
    return " ".join(_spoken(word) for word in words if word)


def _spoken(word: str) -> str:
    letters = unicodedata.normalize("NFD", word)
    plain = "".join(letter for letter in letters if letter not in _TONES)
    return plain + "".join(letter for letter in letters if letter in _TONES)


def fold_list(texts: list[str]) -> str:
    """Reduce several texts to one that can be searched for a whole phrase: `| ho tich | g15 tp07 |`."""
    folded = dict.fromkeys(found for text in texts if (found := fold(text)))
    return f"| {' | '.join(folded)} |" if folded else ""


def as_pattern(phrase: str) -> str:
    r"""Escape what LIKE takes for wildcards; use with `escape="\\"`."""
    return phrase.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
