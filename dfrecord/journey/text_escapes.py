"""A value as it stands in CSV and in XML. Python scripts and Ansible's filters carry this file's functions in them; the
bash script and the Postman collection say the same in jq and JavaScript (`templates/`).
"""

from __future__ import annotations

import re


def csv_cell(value: object) -> str:
    """A value as a whole cell: in quotes when it holds a comma, a quote or a line end (RFC 4180)."""
    return f'"{csv_inside(value)}"' if re.search('[",\\r\\n]', str(value)) else str(value)


def csv_inside(value: object) -> str:
    """A value as the inside of a cell that stands in quotes."""
    return str(value).replace('"', '""')


def xml_text(value: object) -> str:
    """A value as text of an element or in an attribute, whose line ends and tabs XML would alter."""
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    return re.sub("[&<>\"'\\t\\r\\n]", lambda found: marks.get(found[0], f"&#{ord(found[0])};"), str(value))


def no_xml(value: object) -> bool:
    """Whether a value holds what no XML document can, escaped or not (XML 1.0, 2.2)."""
    return re.search("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]", str(value)) is not None
