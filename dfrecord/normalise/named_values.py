"""Values that stand beside a name inside free text: URLs, forms, connection strings, headers, code, YAML, HTML, SQL.

It says what is written there, not what is secret; that the catalog judges by the names. What can be nothing but a
credential gets a telling name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, cast
from urllib.parse import unquote_plus


def _pattern(written: str, flags: int = 0) -> re.Pattern[str]:
    """Compiled when it is first used: to compile all of these takes a tenth of a start, and few are needed."""
    return cast(re.Pattern[str], _Later(written, flags))


class _Later:
    def __init__(self, written: str, flags: int) -> None:
        self._written, self._flags = written, flags

    def __getattr__(self, name: str) -> Any:
        """A method of the compiled pattern, from now on its own."""
        setattr(self, name, getattr(re.compile(self._written, self._flags), name))
        return self.__dict__[name]


_DIGIT = _pattern("[0-9]")
_SCHEMES = _pattern("[Bb](?:earer|asic)|B(?:EARER|ASIC)")
_NAME = r"(?<![A-Za-z_])[A-Za-z_][\w.-]{0,60}+"
_USER_INFO = _pattern(r"""://[^\s/:@"'<>\\]{0,200}:([^\s/@"'<>\\]{3,200})@""")
_USER_ALONE = _pattern(r"""://([^\s/:@"'<>\\]{8,200})@""")  # a token needs no password
_USER_INFO_SIGNS = (  # that URLs do not allow there, and people write
    _pattern(r"""://[^\s/:@"'<>\\]{0,200}:([^\s/"'<>\\]{3,200})@"""),
    _pattern(r"""://[^\s/:@"'<>\\]{0,200}:(?!\d{1,5}[/?#]|\$?\{)(?=[^\s/@]{0,200}/)([^\s@"'<>\\?#]{3,200})@"""),
)
_PARAMETER = _pattern(r"""(?:^|[?&#;\n])\s{0,9}([\w.\[\]%-]{1,60})=([\w.~+/=%@!*,:|-]{6,})(?=[&;#\s"'<>\\)]|$)""")
_SCHEME = _pattern(r"\b(?:bearer|basic)[ +]([\w.~+/-]{8,}=*)", re.IGNORECASE)
_QUOTED = _pattern(
    rf"""({_NAME})["'`]?[\])]?\s{{0,9}}(?::\s?\w{{1,20}}\s)?(?:=>|:=|\?:|(?:\|\||\?\?)=?|[:=])\s{{0,9}}[A-Za-z]{{0,2}}"""
    r"""(?:"{1,3}([^"\\\s]{8,})"|'{1,3}([^'\\\s]{8,})')"""
)
_BRACES = _pattern(rf"""(?:^|[?&;])\s{{0,9}}({_NAME})=\{{([^{{}}\s]{{0,200}}[^{{}}\s\w.-][^{{}}\s]{{0,200}})\}}""")
_ARGUMENTS = _pattern(rf"""\(\s{{0,9}}["']({_NAME})["']\s{{0,9}},\s{{0,9}}["']([^"'\\\s]{{8,200}})["']""")
_PAIR = _pattern(rf"""\[\s{{0,9}}["']({_NAME})["']\s{{0,9}},\s{{0,9}}["']([^"'\\\s]{{8,200}})["']""")
_JOINED = _pattern(rf"""({_NAME})[= ]["']\s{{0,3}}[+.]\s{{0,3}}["']([^"'\\\s]{{8,200}})["']""")
_ELEMENT = _pattern(rf"""<(?:[\w-]{{1,60}}:)?({_NAME})(?:\s[^<>]{{0,500}})?>([^<>\s]{{8,200}})</""")
_NAMED_ELEMENT = _pattern(
    rf"""(?:\b(?:name|key)=["']({_NAME})["'][^<>]{{0,200}}>|<key>({_NAME})</key>)\s{{0,99}}(?:<\w{{1,20}}>)?"""
    r"""([^<>\s]{8,200})</"""
)
_PROPERTY = r"""[ \t]{1,9}(?:[&!][^\s"']{0,60}[ \t]{1,9})?"""  # of YAML: an anchor or a tag before the value
_LINE = _pattern(rf"""(?m)^[ \t-]{{0,99}}({_NAME}):{_PROPERTY}([^\s,;()\[\]{{}}"']{{8,}})[ \t]{{0,9}}\r?$""")
_BELOW = _pattern(  # YAML in a block or a list, and what people write
    rf"""(?m)^[ \t-]{{0,99}}({_NAME}):[ \t]{{0,9}}(?:[|>][+-]?)?[ \t]{{0,9}}\r?\n[ \t]{{0,99}}(?:-[ ])?["']?"""
    r"""([^\s,;()\[\]{}"']{8,200}(?<!:))["']?[ \t]{0,9}\r?$"""
)
_LISTED = _pattern(  # the environment of a container
    rf"""\bname:[ \t]{{1,9}}["']?({_NAME})["']?[ \t]{{0,9}}\r?\n[ \t]{{0,99}}value:[ \t]{{1,9}}["']?"""
    r"""([^\s,;()\[\]{}"']{6,200})["']?[ \t]{0,9}\r?$""",
    re.MULTILINE,
)
_SETTING = _pattern(
    rf"""(?m)^[ \t]{{0,99}}(?:export[ ])?({_NAME})[ \t]{{0,9}}=[ \t]{{0,9}}"""
    r"""([^\s,;()\[\]{}"'`]{6,})[ \t]{0,9}(?:[ \t][#;][^\r\n]{0,200})?\r?$"""
)
_WORD_OF_A_COMMAND = _pattern(  # docker run -e, env, java -D, //host/:_authToken=
    rf"""[\s"'`:](?:-D|--?)?({_NAME})=(?!\$\w)["']?([^\s,;()\[\]{{}}"'`<>&]{{6,200}})(?=["'`]?(?:[\s"'`;]|$))"""
)
_CODE = _pattern("[(){};]")
_FLOW = _pattern(rf"""[{{,][ \t]{{0,9}}({_NAME}):[ \t]{{1,9}}([^\s,;()\[\]{{}}"']{{8,200}})[ \t]{{0,9}}(?=[,}}])""")
_LOGIN_OF_A_COMMAND = _pattern(
    r"""\b(?:curl\b[^\r\n]{0,120}?\s(?:-u|-U|--(?:proxy-)?user)[ =]{0,3}["']?[^\s:"']{1,100}:
    |(?:mysql\w{0,10}|mariadb|sshpass|mongo\w{0,10}|docker[ ]login)\s(?:[^\r\n]{0,120}?\s)?-p[ ]?["']?
    |(?:redis-cli\s(?:[^\r\n]{0,120}?\s)?-a|ldap\w{1,10}\s(?:[^\r\n]{0,120}?\s)?-w
    |(?:un)?zip\s(?:[^\r\n]{0,120}?\s)?-P|keytool\s[^\r\n]{0,120}?-(?:store|key)pass)[ ]["']?
    |openssl\s[^\r\n]{0,120}?\spass:|smbclient\s[^\r\n]{0,120}?-U[ ]?["']?[^\s%"']{1,100}%
    |sqlplus\s(?:[^\r\n]{0,120}?\s)?["']?[^\s/"']{1,100}/
    |net[ ]use[ ](?:\w:[ ])?\\\\\S{1,200}[ ](?!/)|snmp[\w-]{1,20}\s(?:[^\r\n]{0,120}?\s)?(?:-c|community)[ ]["']?
    |CURLOPT_(?:PROXY)?USERPWD["']?\s{0,9}(?:,|=>)\s{0,9}["'][^\s:"']{1,100}:
    |(?:btoa|b64encode|base64_encode|Buffer\.from)\(b?["'][^\s:"']{1,100}:)([^\s"']{6,200})""",
    re.VERBOSE,
)
_COMMANDS = (
    *("curl", "mysql", "mariadb", "sshpass", "mongo", "docker", "redis-cli", "ldap", "zip", "keytool", "openssl"),
    *("smbclient", "sqlplus", "net use", "snmp", "USERPWD", "btoa", "b64encode", "base64_encode", "Buffer"),
)
_ARGUMENT = r"""\s{0,9}["'][^"'\r\n]{0,100}["'],\s{0,9}"""
_CREDENTIAL_OF_A_CALL = _pattern(
    rf"""(?:\bauth\s{{0,3}}=\s{{0,3}}[(\[]{_ARGUMENT}|[Bb]asic_?[Aa]uth\w{{0,20}}\({_ARGUMENT}
    |\bmysqli\w{{0,13}}\({_ARGUMENT}{_ARGUMENT}|\bcreateHmac\({_ARGUMENT}
    |\bhash_hmac\({_ARGUMENT}[^,()\n]{{1,100}},\s{{0,9}}|ConvertTo-SecureString\s(?:-String\s)?
    |\bjwt\.(?:sign|verify|encode|decode)\([^,()\n]{{1,100}},\s{{0,9}})
    ["']([^"'\s]{{6,200}})["']""",
    re.VERBOSE,
)
_LOGIN_OF_A_CALL = _pattern(
    r"""(?:[Ll]ogin|[Cc]onnect|[Cc]onnection|[Cc]redentials?|[Bb]asicAuth|_open|_bind|\bFTP|\bPDO)\([^()\r\n]{0,200}["']"""
    r"""[^"'\r\n]{0,100}["'],\s{0,9}["']([^"'\s]{6,200})["']\s{0,9}[),]"""
)
_OF_CALLS = ("auth", "Auth", "mysqli", "mac(", "jwt.", "-SecureString")
_SETTER = _pattern(
    r"""\b(?:(?:set|with)_?([A-Za-z]\w{0,60}+)|(pass(?:word|phrase)))\(\s{0,9}["']([^"'\\\s]{8,200})["']\s{0,9}\)"""
)
_LINE_OF_PGPASS = _pattern(r"(?m)^[^\s:]{1,100}:(?:\d{4,5}|\*):[^\s:]{1,60}:[^\s:]{1,60}:([^\s:]{6,200})\r?$")
_THIN = _pattern(r"""\bthin:[^\s/:@"']{1,100}/([^\s"'@]{3,200})@""")
_INPUT = _pattern(
    r"""\b(?:name|key|property)=["']([^"'<>]{1,60})["'][^<>]{0,500}?\b(?:value|content)=["']([^"'<>]{6,})["']"""
)
_INPUT_TURNED = _pattern(
    r"""\b(?:value|content)=["']([^"'<>]{6,500})["'][^<>]{0,100}?\b(?:name|key)=["']([^"'<>]{1,60})["']"""
)
_INSERT = _pattern(r"(?i)\binsert into [^\s(]{1,200}\s?\(([^()]{1,4000})\)\s{0,9}values\s?\(([^\r\n]{1,20000})")
_OF_A_USER = _pattern(
    r"""(?i)\bidentified\s(?:with\s\S{1,60}\s)?(?:by|as)\s(?:password\s)?['"]([^'"\s]{6,200})['"]
    |\bpassword\s?\(\s?['"]([^'"\s]{6,200})['"]\s?\)
    |\b(?:create|alter)\suser\s\S{1,100}\sidentified\sby\s([^'"\s;]{6,200})""",
    re.VERBOSE,
)
_OF_A_CALL = _pattern(  # as PHP writes it into a trace, cut after 15 characters
    r"""(?:\('\w{2,20}:\w{2,20}=[^'\n]{1,300}'|\bldap_bind\([^,()'\n]{0,60}), ?'[^'\n]{0,300}', ?"""
    r"""'([^'\n]{3,200}?)(?:\.\.\.)?'"""
)
_PRIVATE_KEY = _pattern(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){16,20000}"
    r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?"
)
_PRIVATE_LINES = _pattern(  # PuTTY
    r"\bPrivate-Lines: [0-9]{1,4}((?:\r?\n(?!Private-MAC)[A-Za-z0-9+/]{1,100}={0,2}){1,999})"
)
_JWT = _pattern(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")
_ISSUED = (
    *("AIza", "AKIA", "ASIA", "dapi", "gh", "glpat-", "shp", "sk-", "sk_live_", "rk_live_", "xox"),
    *("hooks.slack", "webhook", ":AA"),
)
_ISSUED_TOKEN = _pattern(
    r"""(?<![\w-])(?:AIza[\w-]{35}|A[KS]IA[A-Z0-9]{16}|dapi[0-9a-f]{32}|gh[oprsu]_\w{36,}|github_pat_\w{22,}
    |glpat-[\w-]{20,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sk-(?:ant|proj)-[\w-]{20,}|sk-[A-Za-z0-9]{32,}
    |[rs]k_live_\w{20,}|xox[abeoprs]-[\w-]{10,})
    |(?<=hooks\.slack\.com/services/)[\w/-]{20,}|(?<=/api/webhooks/)\d{1,20}/[\w-]{20,}
    |(?<=webhook\.office\.com/webhookb2/)[\w@/-]{20,}|\d{8,12}:AA[\w-]{33}""",
    re.VERBOSE,
)
_BEHIND_A_TELLING_PART = _pattern(  # of a path: Zapier, IFTTT, Mattermost
    r"(?i)/(?:(?:web)?hooks?|(?:api[_-]?)?keys?|tokens?|secrets?)((?:/[\w.~@-]{1,200}){1,4})"
)
_IN_A_PATH = _pattern(r"""://[^\s"'<>?#]*$""")
_SET = _pattern(rf"""[`"]({_NAME})[`"] = ([^\s,;()"'`]{{6,}})""")
_PROSE = _pattern(
    r"""(?i)(?<![.:\w])(pass(?:word|wd|phrase|code)|pwd?|secret|credentials?|(?:(?:api|access)[ _-]?)?(?:key|token))s?
    (?:(?::\s{0,3}|=)["'`]?([^\s"'`<>(){}\[\],;]{6,200})(?=\)?\.?(?:[\s"'`<]|$))  # what code has in it ends otherwise
    |\s(?:(?:is|was|of)\s)?["'`(]?([^\s"'`<>(){}\[\],;]{6,200}))""",
    re.VERBOSE,
)
_FROM_AFAR = _pattern(
    r"""(?i)(?<![.:\w])(?:(?:passwort|kennwort|contrase\xf1a|senha|wachtwoord|mot[ ]de[ ]passe|pass
    |activation[ ]code|(?:licen[cs]e|encryption|account|subscription|shared|secret|private)[ ]key)\s?[:=]\s{0,3}
    |(?:pass(?:word|wd|phrase|code)|pwd|secret|(?:api|access)[ _-]?(?:key|token))s?
    (?:\s{0,3}(?:[:=-]?>|[=\u2192])\s{1,3}|\s[\u2013\u2014-]\s
    |\s(?:is:|was:|(?:has[ ]been[ ])?(?:re)?set[ ]to|changed[ ](?:from|to))\s
    |\s(?:for|of|to|on|in)\s[^.:=\r\n"']{1,40}(?::\s{0,3}|\sis\s)))["'`]?([^\s"'`<>(){}\[\],;]{6,200})""",
    re.VERBOSE,
)
_AS_PASSWORD = _pattern(
    r"""(?<![^\s"'`(])([^\s"'`<>(){}\[\],;]{6,200})["'`]?\sas\s(?:(?:the|its|your|a)\s)?[Pp]ass(?:word|phrase|code)"""
    r"""(?=\s{0,3}(?:$|[.,;:!?)"'`<]|(?:for|to|and|on|in)\b))"""
)
_ACCOUNT_AND_PASSWORD = _pattern(
    r"""(?<![^\s"'`(])(?:[Aa]dmin(?:istrator)?|root|sa|[\w.+-]{1,60}@[\w.-]{1,60})(?:\s/\s|[:/])"""
    r"""([^\s"'`<>(){}\[\],;]{6,200})"""
)
_SHORTEST = 10  # of a telling name, what stands between, and a value
_TELLING = ("pass", "pw", "secret", "cred", "key", "token")  # in each name of _PROSE, and without an i (ı)
_TELLING_FROM_AFAR = ("pass", "pwd", "secret", "key", "token", "activation", "kennwort", "contrase", "senha", "wacht")
_PIECE = _pattern("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Za-z0-9]{8,}")
_CHANGE = _pattern("[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_UNCOMMON = _pattern(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[!@#$%^&*+~?-]).{8}", re.DOTALL)
_SIGN = _pattern("[!@#$%^&*+~]")
_REFERENCE = _pattern(  # to a value that stands elsewhere: a variable, a parameter of SQL, a file
    r"\$[A-Z_][A-Z0-9_]*$|\$?[({]|:[A-Za-z_]\w*$|%[A-Z0-9_]+%$|/(?:etc|home|mnt|opt|root|run|srv|tmp|usr|var)/"
)
_WORD = _pattern(r"""[^\s"'<>,;:=&?(){}\[\]]{8,}=*""")
_BEGIN_OF_A_CALL = _pattern(r"\w+\((?:[$:?'].*)?")  # `crypt($2`
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
        yield from (("token", user) for user in _USER_ALONE.findall(text) if looks_made_up(user))
        for written in _USER_INFO_SIGNS:
            yield from (("url_password", password) for password in written.findall(text))
    readings = tuple(_readings(text))
    for reading in readings:
        yield from _issued(reading)
    if len(text) < _SHORTEST or not (words or is_uncommon(text)):
        return
    for reading in readings:
        marked_up = "**" in reading or "</" in reading
        plain = (_MARKUP.sub(_gap, reading).replace("  ", " ").replace(" :", ":"),) if marked_up else ()
        for name, value in chain(_values(reading), *map(_in_prose, (reading, *plain))):
            if (words or is_uncommon(value)) and not _REFERENCE.match(value):
                yield name, value


def _readings(text: str) -> Iterator[str]:
    """The text, and what it says where it is percent-encoded, HTML-escaped, or a text of JSON inside another."""
    yield text
    if "%3" in text:
        yield unquote_plus(text)
    if "&" in text and any(mark in text for mark in _HTML_MARKS):
        text = html.unescape(text)
        yield text
    if '\\"' in text:
        yield _ESCAPED.sub(r"\1", text)


_MARKUP = _pattern(r"(?:\*\*|</?[A-Za-z][^<>]{0,200}>)(?:\s|\*\*|</?[A-Za-z][^<>]{0,200}>)*")
_OF_A_BLOCK = _pattern(r"<(?!/?(?:a|b|code|dd|dt|em|font|i|kbd|label|pre|samp|span|strong|td|th|tt|u)\b)")
_ESCAPED = _pattern(r"""\\+(["'/])""")
_HTML_MARKS = ("&quot;", "&#34;", "&#39;", "&#039;", "&#x27;", "&apos;", "&lt;", "&gt;")


def _gap(markup: re.Match[str]) -> str:
    """What a page shows between two words: what stands in another paragraph is said of nothing here."""
    return "\n\n" if _OF_A_BLOCK.search(markup[0]) else " "


def _in_prose(text: str) -> Iterator[tuple[str, str]]:
    folded = text.casefold()
    for name, set_apart, following in _PROSE.findall(text) if any(word in folded for word in _TELLING) else ():
        if not set_apart.endswith(":"):  # the next name of YAML
            value = (set_apart or following).rstrip(".:!?")
            if is_uncommon(value):
                yield name, value
    from_afar = _FROM_AFAR.findall(text) if any(word in folded for word in _TELLING_FROM_AFAR) else []
    if " as " in text and "pass" in folded:
        from_afar += _AS_PASSWORD.findall(text)
    if "@" in text or "root" in folded or "admin" in folded or "sa" in folded:
        from_afar += filter(_is_no_name, _ACCOUNT_AND_PASSWORD.findall(text))
    for value in from_afar:
        if "://" not in value and _is_no_word(value):
            yield "password", value.rstrip(".:?")


def _issued(text: str) -> Iterator[tuple[str, str]]:
    """What can be nothing but a credential, whatever it is called: by its form, or by where it stands in a trace."""
    if "PRIVATE KEY" in text:
        yield from (("private_key", key) for key in _PRIVATE_KEY.findall(text))
    if "Private-Lines: " in text:
        yield from (("private_key", key.strip()) for key in _PRIVATE_LINES.findall(text))
    if "eyJ" in text:
        yield from (("jwt", token) for token in _JWT.findall(text))
    if any(beginning in text for beginning in _ISSUED):
        yield from (("token", token) for token in _ISSUED_TOKEN.findall(text))
    if "://" in text:
        for found in _BEHIND_A_TELLING_PART.finditer(text):
            if _IN_A_PATH.search(text[max(found.start() - 200, 0) : found.start()]):
                yield from (("token", part) for part in found[1].split("/") if len(part) >= 12 and looks_made_up(part))
    if "','" in text or "', '" in text:
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


def _is_no_name(value: str) -> bool:
    """`k7Qp2Zr9`, `Summer2026!`, but not `Roles-2026`."""
    return looks_made_up(value) or _SIGN.search(value) is not None


def _is_no_word(value: str) -> bool:
    """Where code may stand, too: `k7Qp2Zr9`, `Summer-2026`, but not `this.key1`, `label_12`."""
    return looks_made_up(value) or _UNCOMMON.match(value) is not None


def _is_variable(value: str) -> bool:
    """Whether a word of code names another variable: `password2`, `params.password2`, `$this->password2`."""
    return all(part.removeprefix("$").isidentifier() for part in re.split(r"\.|->|::", value))


def _values(text: str) -> Iterator[tuple[str, str]]:
    if "=" in text:
        for name, value in _PARAMETER.findall(text):
            yield unquote_plus(name), value
            if "%" in value or "+" in value:
                yield unquote_plus(name), unquote_plus(value)
    if _SCHEMES.search(text):
        for value in _SCHEME.findall(text):
            yield "authorization", value
    if ("'" in text or '"' in text) and any(sign in text for sign in ("=", ":", "||", "??")):
        for name, double, single in _QUOTED.findall(text):
            yield name, double or single
    if ": " in text or ":\t" in text:
        yield from _LINE.findall(text)
    if "value: " in text:
        yield from _LISTED.findall(text)
    if ":" in text and "\n" in text:
        yield from _BELOW.findall(text)
    if "=" in text:
        is_code = _CODE.search(text) is not None
        for name, value in (*_SETTING.findall(text), *_WORD_OF_A_COMMAND.findall(text)):
            if not (is_code and _is_variable(value)) or looks_made_up(value):
                yield name, value
    if any(word in text for word in _OF_CALLS):
        yield from (("password", value) for value in _CREDENTIAL_OF_A_CALL.findall(text))
    if "(" in text and ("'," in text or '",' in text):
        yield from (("password", value) for value in _LOGIN_OF_A_CALL.findall(text) if _is_no_name(value))
    if "('" in text or '("' in text:
        yield from ((one or other, value) for one, other, value in _SETTER.findall(text) if _is_no_word(value))
    if "dentified" in text or "DENTIFIED" in text or "assword" in text or "ASSWORD" in text:
        yield from (("password", "".join(found)) for found in _OF_A_USER.findall(text))
    if any(command in text for command in _COMMANDS):
        yield from (("password", value) for value in _LOGIN_OF_A_COMMAND.findall(text))
    if text.count(":") > 3:
        yield from (("password", value) for value in _LINE_OF_PGPASS.findall(text))
    if "thin:" in text:
        yield from (("password", value) for value in _THIN.findall(text))
    if "={" in text:
        yield from _BRACES.findall(text)
    if "," in text:
        yield from ((name, value) for name, value in _ARGUMENTS.findall(text) if _is_no_word(value))
        yield from ((name, value) for name, value in _PAIR.findall(text) if _is_no_name(value))
    if "' + '" in text or '" + "' in text or "'+'" in text or '"+"' in text or "' . '" in text:
        yield from _JOINED.findall(text)
    if "{" in text and ": " in text:
        yield from ((name, value) for name, value in _FLOW.findall(text) if _is_no_word(value))
    if "<" in text:
        yield from _ELEMENT.findall(text)
        yield from ((one or other, value) for one, other, value in _NAMED_ELEMENT.findall(text))
    if "<" in text and ("value=" in text or "content=" in text):
        turned = ((name, value) for value, name in _INPUT_TURNED.findall(text))
        for name, value in (*_INPUT.findall(text), *turned):
            yield name, html.unescape(value)
    if "values" in text or "VALUES" in text:
        for columns, row in _INSERT.findall(text):
            comma = ", " if ", " in row else ","
            yield from _in_row(columns.split(","), row.split(comma))
    if " = " in text:
        yield from _SET.findall(text)


def _in_row(columns: list[str], row: list[str]) -> Iterator[tuple[str, str]]:
    """The values of a row that an error quotes as it stands: with commas in them, a column may have one of several."""
    for place, column in enumerate(columns):
        for value in row[place : place + 1 + min(max(len(row) - len(columns), 0), _COMMAS)]:
            if len(value := value.partition(")")[0].strip("'\"")) >= 6 and not _BEGIN_OF_A_CALL.fullmatch(value):
                yield column.strip('`"[] '), value
