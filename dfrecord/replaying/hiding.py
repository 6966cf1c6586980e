"""Secrets taken out of what a run tells. Python scripts and Ansible's filters carry this file's functions in them; the
bash script and the Postman collection say the same in jq and JavaScript (`templates/`).
"""

from __future__ import annotations

import base64
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
    content = secret.encode("utf-8", "surrogatepass")
    for shift in range(3) if len(content) > 5 else ():  # the inside of a longer text, too
        encoded = base64.b64encode(b" " * shift + content).decode().rstrip("=")
        inside = encoded[4 if shift else 0 : len(encoded) // 4 * 4 if len(encoded) % 4 else None]
        if len(inside) > 7:
            inside = re.escape(inside).replace(r"\+", "[+-]").replace("/", r"(?:\\?/|_)")
            forms.append(rf"[\w+/-]{{0,4}}{inside}[\w+/-]*=*")
    return re.compile("|".join(forms))


def form_of(part: str) -> str:
    """A pattern of what may stand for a character of a secret, for a run of blanks, or for one of backslashes."""
    code = ord(part[0])
    if part[0] == "\\":
        return r"(?:\\|(?i:%(?:25){0,2}5c)|&#(?:0{0,2}92|(?i:x0{0,2}5c));){" + f"{len(part)},{8 * len(part)}}}"
    if part[0].isspace() or part[0] == "\b":  # told on one line, several become one
        octet = r"%(?:25){0,2}(?:20|0[89A-Da-d]|1[C-Fc-f]|[89A-Fa-f]\w)"
        return rf"(?:[\s\b]|\+|{octet}|\\{{1,4}}(?:[bfnrt]|u[0-9A-Fa-f]{{4}})|&#\w{{1,5}};){{1,99}}"
    if part.isascii() and part.isalnum():
        return part
    octets = "".join(f"%(?:25){{0,2}}{octet:02x}" for octet in part.encode("utf-8", "surrogatepass"))
    units = part.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\{{1,4}}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    name = {'"': "|quot", "&": "|amp", "'": "|apos", "<": "|lt", ">": "|gt"}.get(part, "")
    entity = f"&(?:amp;){{0,2}}(?:#0{{0,2}}{code}|#x0{{0,2}}{code:x}{name});"
    return rf"(?:(?i:{octets}|{escaped}|{entity})|\\{{0,4}}{re.escape(part)})"
