"""Coverage-guided fuzzing of each language's encoder: `python -m fuzz.encoders FOLDER -max_total_time=60`.

What an encoder writes is read back by the language's own grammar, in-process: it means the text it was made from, it
ends where it has to, and nothing invisible is in it. (That real bash, Python, newman and Chromium agree is proven by
`tests/render`, in fewer and larger pieces.)
"""

from __future__ import annotations

import ast
import html
import json
import re
import sys

import atheris

with atheris.instrument_imports(include=["dfrecord.renderers", "dfrecord.reporting.html_encoder"]):
    from dfrecord.journey.model import RawBody
    from dfrecord.outputs import INVISIBLE
    from dfrecord.renderers import bash_encoder, jq_encoder, postman_encoder, python_encoder
    from dfrecord.reporting import html_encoder
    from dfrecord.tree import Object, Text

_BASH_WORD = re.compile(rb"'([^'\\$`]*)'|\$'((?:[^'\\]|\\[nrt\\']|\\x[0-9a-f]{2})*)'", re.DOTALL)
_BASH_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'"}


def one(content: bytes) -> None:
    """One input of the fuzzer: the text in it through every encoder."""
    text = content.decode("utf-8", "replace")
    python(text, content)
    bash(text.replace("\0", ""), content)
    javascript(text)
    page(text)


def python(text: str, content: bytes) -> None:
    """Literals, comments and docstrings of Python."""
    encoder = python_encoder.PythonEncoder({}, {})
    assert ast.literal_eval(python_encoder.string(text)) == text
    assert ast.literal_eval(encoder.tree(Object(((text, text),)))) == {text: text}
    made = eval(encoder.raw(RawBody((content,))), {"__builtins__": {}, "base64": __import__("base64")})
    assert made == content
    assert eval(encoder.text(Text((text, "{x}"))), {"__builtins__": {}}) == text + "{x}"
    source = f'"""{python_encoder.docstring(text)}."""\n# Note: {python_encoder.comment(text)}\n'
    module = ast.parse(source)
    assert len(module.body) == 1
    assert "#" not in source.split('"""', 2)[2].partition("# Note: ")[0]


def bash(text: str, content: bytes) -> None:
    """Words, printf formats and comments of bash, and strings of jq inside single quotes."""
    word = bash_encoder.quote(text).encode("utf-8", "surrogatepass")
    read = _BASH_WORD.fullmatch(word)
    assert read, word
    value = read[1] if read[1] is not None else _BASH_ESCAPE.sub(_unescaped, read[2])
    assert value == text.encode("utf-8", "surrogatepass"), word
    format = bash_encoder.printf_format(content).encode("utf-8", "surrogateescape")
    assert b"'" not in re.sub(rb"\\'", b"", format)
    comment = bash_encoder.comment(text)
    assert not INVISIBLE.search(comment.replace(" ", ""))
    inside = jq_encoder.json_inside(text, shell_quoted=True)
    assert "'" not in inside
    assert json.loads(f'"{inside}"') == text
    assert not re.search(r"(?<!\\)(?:\\\\)*\\\(", inside), "jq would take this for a program"


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code[1:], 16)]) if code[:1] == b"x" and len(code) == 3 else _SHORT[code]


def javascript(text: str) -> None:
    """Literals of JavaScript, and the JSON of a collection."""
    literal = postman_encoder.js(text)
    assert json.loads(literal) == text
    assert "{{" not in literal
    body = postman_encoder.json_text(Object(((text, text),)), postman_encoder.Names((), ()))
    assert json.loads(body) == {text: text}
    assert not postman_encoder.tokens([body]), "Postman would replace this"
    assert json.loads(postman_encoder.collection_json({"x": text})) == {"x": text}
    assert "\n" not in postman_encoder.markdown(text)


def page(text: str) -> None:
    """Text and data of a page."""
    data = html_encoder.script_json({text: text})
    assert json.loads(data) == {text: text}
    assert not set("<>&") & set(data)
    shown = html_encoder.text(text)
    assert not set("<>\"'") & set(shown)
    assert html.unescape(shown) == INVISIBLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
