"""Values that stand beside a name inside free text: URLs, forms, connection strings, headers, code, YAML, HTML, SQL.

It says what is written there, not what is secret; that the catalog judges by the names. What can be nothing but a
credential gets a telling name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

_DIGIT = re.compile("[0-9]")
_SCHEMES = re.compile("[Bb](?:earer|asic)|B(?:EARER|ASIC)")
_NAME = r"(?<![A-Za-z_])[A-Za-z_][\w.-]{0,60}+"
_USER_INFO = re.compile(r"""://[^\s/:@"'<>\\]{0,200}:([^\s/@"'<>\\]{3,200})@""")
_USER_INFO_SIGNS = (  # that URLs do not allow there, and people write
    re.compile(r"""://[^\s/:@"'<>\\]{0,200}:([^\s/"'<>\\]{3,200})@"""),
    re.compile(r"""://[^\s/:@"'<>\\]{0,200}:(?!\d{1,5}[/?#]|\$?\{)(?=[^\s/@]{0,200}/)([^\s@"'<>\\?#]{3,200})@"""),
)
_PARAMETER = re.compile(r"""(?:^|[?&#;\n])\s{0,9}([\w.\[\]%-]{1,60})=([\w.~+/=%@!*,:|-]{6,})(?=[&;#\s"'<>\\)]|$)""")
_SCHEME = re.compile(r"\b(?:bearer|basic)[ +]([\w.~+/-]{8,}=*)", re.IGNORECASE)
_QUOTED = re.compile(rf"""({_NAME})["']?\]?\s{{0,9}}(?:=>|[:=])\s{{0,9}}(?:"([^"\\\s]{{8,}})"|'([^'\\\s]{{8,}})')""")
_BRACES = re.compile(rf"""(?:^|[?&;])\s{{0,9}}({_NAME})=\{{([^{{}}\s]{{0,200}}[^{{}}\s\w.-][^{{}}\s]{{0,200}})\}}""")
_ARGUMENTS = re.compile(rf"""\(\s{{0,9}}["']({_NAME})["']\s{{0,9}},\s{{0,9}}["']([^"'\\\s]{{8,200}})["']""")
_ELEMENT = re.compile(rf"""<({_NAME})>([^<>\s]{{8,200}})</""")
_LINE = re.compile(rf"""(?m)^[ \t-]{{0,99}}({_NAME}):[ \t]{{1,9}}([^\s,;()\[\]{{}}"']{{8,}})[ \t]{{0,9}}\r?$""")
_SETTING = re.compile(
    rf"""(?m)^[ \t]{{0,99}}(?:export[ ])?({_NAME})[ \t]{{0,9}}=[ \t]{{0,9}}"""
    r"""([^\s,;()\[\]{}"'`]{6,})[ \t]{0,9}\r?$"""
)
_CODE = re.compile("[(){};]")
_FLOW = re.compile(rf"""[{{,][ \t]{{0,9}}({_NAME}):[ \t]{{1,9}}([^\s,;()\[\]{{}}"']{{8,200}})[ \t]{{0,9}}(?=[,}}])""")
_LOGIN_OF_A_COMMAND = re.compile(  # curl -u, mysql -p, sshpass -p
    r"""\bcurl\b[^\r\n]{0,120}?\s(?:-u|-U|--(?:proxy-)?user)[ =]{0,3}["']?[^\s:"']{1,100}:([^\s"']{6,200})"""
    r"""|\b(?:mysql\w{0,10}|mariadb|sshpass)\s(?:[^\r\n]{0,120}?\s)?-p[ ]?["']?([^\s"']{6,200})"""
)
_PAIR_OF_A_LOGIN = re.compile(r"""\bauth\s{0,3}=\s{0,3}[(\[]["'][^"'\r\n]{0,100}["'],\s{0,9}["']([^"'\s]{6,200})["']""")
_THIN = re.compile(r"""\bthin:[^\s/:@"']{1,100}/([^\s"'@]{3,200})@""")
_INPUT = re.compile(r"""\bname=["']([^"'<>]{1,60})["'][^<>]{0,500}?\bvalue=["']([^"'<>]{6,})["']""")
_INSERT = re.compile(r"(?i)\binsert into \S{1,200} \(([^()]{1,4000})\) values \(([^\r\n]{1,20000})")
_OF_A_USER = re.compile(
    r"""(?i)\bidentified\s(?:with\s\S{1,60}\s)?(?:by|as)\s(?:password\s)?['"]([^'"\s]{6,200})['"]
    |\bpassword\s?\(\s?['"]([^'"\s]{6,200})['"]\s?\)""",
    re.VERBOSE,
)
_OF_A_CALL = re.compile(  # as PHP writes it into a trace, cut after 15 characters
    r"""(?:\('\w{2,20}:\w{2,20}=[^'\n]{1,300}'|\bldap_bind\([^,()'\n]{0,60}), '[^'\n]{0,300}',[ ]"""
    r"""'([^'\n]{3,200}?)(?:\.\.\.)?'"""
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----(?:[^-]|-(?!----)){16,20000}"
    r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----)?"
)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")
_ISSUED = (
    *("AIza", "AKIA", "ASIA", "dapi", "gh", "glpat-", "shp", "sk-", "sk_live_", "rk_live_", "xox"),
    *("hooks.slack", "webhook", ":AA"),
)
_ISSUED_TOKEN = re.compile(
    r"""(?<![\w-])(?:AIza[\w-]{35}|A[KS]IA[A-Z0-9]{16}|dapi[0-9a-f]{32}|gh[oprsu]_\w{36,}|github_pat_\w{22,}
    |glpat-[\w-]{20,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sk-(?:ant|proj)-[\w-]{20,}|sk-[A-Za-z0-9]{32,}
    |[rs]k_live_\w{20,}|xox[abeoprs]-[\w-]{10,})
    |(?<=hooks\.slack\.com/services/)[\w/-]{20,}|(?<=/api/webhooks/)\d{1,20}/[\w-]{20,}
    |(?<=webhook\.office\.com/webhookb2/)[\w@/-]{20,}|\d{8,12}:AA[\w-]{33}""",
    re.VERBOSE,
)
_SET = re.compile(rf"""[`"]({_NAME})[`"] = ([^\s,;()"'`]{{6,}})""")
_PROSE = re.compile(
    r"""(?i)(?<![.\w])(pass(?:word|wd|phrase|code)|pwd?|secret|credentials?|(?:(?:api|access)[ _-]?)?(?:key|token))s?
    (?:(?::\s{0,3}|=)["'`]?([^\s"'`<>(){}\[\],;]{6,200})(?=\)?\.?(?:[\s"'`<]|$))  # what code has in it ends otherwise
    |\s(?:(?:is|was|of)\s)?["'`(]?([^\s"'`<>(){}\[\],;]{6,200}))""",
    re.VERBOSE,
)
_SHORTEST = 10  # of a telling name, what stands between, and a value
_TELLING = ("pass", "pw", "secret", "cred", "key", "token")  # in each name of _PROSE, and without an i (ı)
_PIECE = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Za-z0-9]{8,}")
_CHANGE = re.compile("[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_UNCOMMON = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[!@#$%^&*+~?-]).{8}", re.DOTALL)
_WORD = re.compile(r"""[^\s"'<>,;:=&?(){}\[\]]{8,}=*""")
_COMMAS = 20  # in the values of a row


def named_values(text: str, *, words: bool = False) -> Iterator[tuple[str, str]]:
    """Name and value of each, where the value looks like none of a program's own words: it holds a digit, or letters of
    both kinds and a sign. With `words` any value is taken, since the text is no program.

    What stands before the `@` of a URL is called `url_password`, what follows `Bearer` or `Basic`, `authorization`, and
    what is a credential by its form `private_key`, `jwt`, `token` or `password`.
    """
    if "@" in text and "://" in text:
        for password in _USER_INFO.findall(text):
            yield "url_password", password
            if "%" in password:
                yield "url_password", unquote_plus(password.replace("+", "%2B"))
        for written in _USER_INFO_SIGNS:
            yield from (("url_password", password) for password in written.findall(text))
    yield from _issued(text)
    if len(text) < _SHORTEST or not (words or is_uncommon(text)):
        return
    for name, value in _values(text) if "%3" not in text else (*_values(text), *_values(unquote_plus(text))):
        if words or is_uncommon(value):
            yield name, value
    folded = text.casefold()
    for name, set_apart, following in _PROSE.findall(text) if any(word in folded for word in _TELLING) else ():
        value = (set_apart or following).rstrip(".:!?")
        if is_uncommon(value):
            yield name, value


def _issued(text: str) -> Iterator[tuple[str, str]]:
    """What can be nothing but a credential, whatever it is called: by its form, or by where it stands in a trace."""
    if "PRIVATE KEY-----" in text:
        yield from (("private_key", key) for key in _PRIVATE_KEY.findall(text))
    if "eyJ" in text:
        yield from (("jwt", token) for token in _JWT.findall(text))
    if any(beginning in text for beginning in _ISSUED):
        yield from (("token", token) for token in _ISSUED_TOKEN.findall(text))
    if "', '" in text:
        yield from (("password", password) for password in _OF_A_CALL.findall(text))


def is_uncommon(value: str) -> bool:
    """Whether a value looks like no word and no name."""
    return _DIGIT.search(value) is not None or _UNCOMMON.match(value) is not None


def looks_made_up(text: str) -> bool:
    """Whether there is a token in the text: letters and digits without a sense."""
    return any(map(_is_made_up, _PIECE.findall(text)))


def tokens(text: str) -> Iterator[str]:
    """Each word of the text that looks like a token or holds one."""
    yield from filter(looks_made_up, _WORD.findall(text))


def _is_made_up(piece: str) -> bool:
    """`k7Qp2Zr9`, `9fd3a61c07be`, but not `AES256`, `tenant2026`, `v2beta`."""
    changes = len(_CHANGE.findall(piece))
    return changes > 2 or "-" in piece or (changes > 0 and len(piece) >= 20)


def _is_no_word(value: str) -> bool:
    """Where code may stand, too: `k7Qp2Zr9`, `Summer-2026`, but not `this.key1`, `label_12`."""
    return looks_made_up(value) or _UNCOMMON.match(value) is not None


def _values(text: str) -> Iterator[tuple[str, str]]:
    if "=" in text:
        for name, value in _PARAMETER.findall(text):
            yield unquote_plus(name), value
            if "%" in value or "+" in value:
                yield unquote_plus(name), unquote_plus(value)
    if _SCHEMES.search(text):
        for value in _SCHEME.findall(text):
            yield "authorization", value
    if ("'" in text or '"' in text) and ("=" in text or ":" in text):
        for name, double, single in _QUOTED.findall(text):
            yield name, double or single
    if ": " in text or ":\t" in text:
        yield from _LINE.findall(text)
    if "=" in text:
        is_code = _CODE.search(text) is not None
        for name, value in _SETTING.findall(text):
            if not (is_code and value.isidentifier()) or looks_made_up(value):  # the name of another variable
                yield name, value
    if "auth" in text:
        yield from (("password", value) for value in _PAIR_OF_A_LOGIN.findall(text))
    if "dentified" in text or "DENTIFIED" in text or "assword" in text or "ASSWORD" in text:
        yield from (("password", one or other) for one, other in _OF_A_USER.findall(text))
    if " -" in text and any(command in text for command in ("curl", "mysql", "mariadb", "sshpass")):
        yield from (("password", one or other) for one, other in _LOGIN_OF_A_COMMAND.findall(text))
    if "thin:" in text:
        yield from (("password", value) for value in _THIN.findall(text))
    if "={" in text:
        yield from _BRACES.findall(text)
    if "(" in text and "," in text:
        yield from ((name, value) for name, value in _ARGUMENTS.findall(text) if _is_no_word(value))
    if "{" in text and ": " in text:
        yield from ((name, value) for name, value in _FLOW.findall(text) if _is_no_word(value))
    if "<" in text:
        yield from _ELEMENT.findall(text)
    if "<" in text and "value=" in text:
        for name, value in _INPUT.findall(text):
            yield name, html.unescape(value)
    if "&quot;" in text and "SQL" in text:
        text = html.unescape(text)
    if "values (" in text:
        for columns, row in _INSERT.findall(text):
            yield from _in_row(columns.split(", "), row.split(", "))
    if " = " in text:
        yield from _SET.findall(text)


def _in_row(columns: list[str], row: list[str]) -> Iterator[tuple[str, str]]:
    """The values of a row that an error quotes as it stands: with commas in them, a column may have one of several."""
    for place, column in enumerate(columns):
        for value in row[place : place + 1 + min(max(len(row) - len(columns), 0), _COMMAS)]:
            if len(value := value.partition(")")[0]) >= 6:
                yield column.strip('`"[] '), value
