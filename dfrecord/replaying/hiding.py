"""Secrets taken out of what a run tells. Python scripts and Ansible's filters carry this file's functions in them; the
bash script and the Postman collection say the same in jq and JavaScript (`templates/`).
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache


def hidden(text: str, secrets: dict[str, str]) -> str:
    """The text with other words (`secrets`: value to words) for each secret, however it is written there.

    One of fewer than four characters cannot be told from ordinary text: it is hidden where it is all there is.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret.strip()) > 3:
            text = forms_of(secret.strip()).sub(secrets[secret], text)
        elif secret and text == secret:
            text = secrets[secret]
    return text


@lru_cache(maxsize=256)
def forms_of(secret: str) -> re.Pattern[str]:
    """A pattern of all that may stand for a value: itself, or escaped for JSON, HTML or a URL, or it is in base64."""
    forms = ["".join(map(form_of, re.findall(r"\\+|[\s\b]+|.", secret, re.DOTALL)))]
    forms.append("".join(rf"&#(?:0{{0,3}}{ord(char)}|[xX]0{{0,3}}(?i:{ord(char):x}));" for char in secret))
    in_json = [json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    for written in sorted({secret, *in_json, *(text.replace("/", "\\/") for text in in_json)}):
        content = written.encode("utf-8", "surrogatepass")
        for shift in range(3) if len(content) > 5 else ():  # the inside of a longer text, too
            encoded = base64.b64encode(b" " * shift + content).decode().rstrip("=")
            inside = encoded[4 if shift else 0 : len(encoded) // 4 * 4 if len(encoded) % 4 else None]
            if len(inside) > 7:
                plus, slash, end = (rf"%(?:25){{0,2}}{octet}" for octet in ("2[Bb]", "2[Ff]", "3[Dd]"))
                inside = re.escape(inside).replace(r"\+", f"(?:[+-]|{plus})").replace("/", rf"(?:\\?/|_|{slash})")
                forms.append(rf"[\w+/-]{{0,4}}{inside}(?:[\w+/-]|{plus}|{slash})*(?:=|{end})*")
    return re.compile("|".join(forms))


def form_of(part: str) -> str:
    """A pattern of what may stand for a character of a secret, for a run of blanks, or for one of backslashes."""
    code = ord(part[0])
    backslash = r"(?:\\|%(?:25){0,2}5[Cc])"
    if part[0] == "\\":
        return rf"(?:{backslash}|&#(?:0{{0,2}}92|(?i:x0{{0,2}}5c));|&bsol;){{{len(part)},{8 * len(part)}}}"
    if part[0].isspace() or part[0] == "\b":  # told on one line, several become one
        octet = r"%(?:25){0,2}(?:20|0[89A-Da-d]|1[C-Fc-f]|[89A-Fa-f]\w)"
        escaped = rf"{backslash}{{1,4}}(?:[bfnrt]|u[0-9A-Fa-f]{{4}})"
        entity = "&(?:amp;){0,2}(?:#0{0,2}(?:9|1[0-3]|32|160)|#x0{0,2}(?:9|[a-d]|20|a0)|nbsp|tab|newline);"
        return rf"(?:[\s\b]|\+|{octet}|{escaped}|(?i:{entity})){{1,99}}"
    if part.isascii() and part.isalnum():
        return part
    octets = "".join(f"%(?:25){{0,2}}{octet:02x}" for octet in part.encode("utf-8", "surrogatepass"))
    units = part.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"{backslash}{{1,4}}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    entity = f"&(?:amp;){{0,2}}(?:#0{{0,2}}{code}|#x0{{0,2}}{code:x}|[a-z][a-z0-9]{{1,30}});"  # whatever its name is
    form = rf"(?:(?i:{escaped}|{entity})|{backslash}{{0,4}}(?:(?i:{octets})|{re.escape(part)}))"
    return form + "{1,2}" if part == '"' else form  # twice in CSV
