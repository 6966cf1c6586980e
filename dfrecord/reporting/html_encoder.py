"""The one place where values become HTML: text between tags, and data inside a script element.

Recorded text reaches a page only through these two functions; from there the page's program puts it into text nodes.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from dfrecord.renderers.bash_encoder import INVISIBLE

_OPENING = re.compile("[<>&\u2028\u2029\x7f-\x9f\ud800-\udfff]")


def text(value: str) -> str:
    """A text as it may stand between tags and in a quoted attribute; what hides in it is shown by its number."""
    return html.escape(INVISIBLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", value))


def script_json(value: Any) -> str:
    """A JSON-ready value as JSON inside a `script` element: nothing in it can end the element or open a comment."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _OPENING.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
