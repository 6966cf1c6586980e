"""One function that reads any recording: HAR in every dialect and wrapping, and mitmproxy flow files.

In: a path, a folder, "-" for standard input, or a binary stream. Out: a Recording. What the input is, is told by its
content (`peel`), never by its name. Everything that cannot be read at all raises UnreadableInput with one line; what
can be read in part is given in part, and `lost` and `notes` say what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

from msgspec.structs import replace

from dfrecord.errors import UnreadableInput
from dfrecord.recording.changing import message
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_reader import read_har
from dfrecord.recording.har_scan import NotAHar
from dfrecord.recording.peel import name_of, peel
from dfrecord.recording.wanted import EVERYTHING, Wanted


def read(
    source: str | os.PathLike[str] | BinaryIO,
    wanted: Wanted = EVERYTHING,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """The recording in `source`.

    `wanted` decides on the URL of each entry (as recorded, JSON escapes undone); others become `PassedOver` and are not
    decoded. `progress` gets bytes done and bytes in all. Raises UnreadableInput when nothing can be made of the input,
    or when it changed meanwhile.
    """
    name = name_of(source)
    peeled = peel(source)
    if peeled.kind == "flow":
        from dfrecord.recording.flow_reader import read_flows  # mitmproxy takes most of a second to import

        recording = read_flows(peeled.buffer, name, wanted, progress)
    else:
        try:
            recording = read_har(peeled.buffer, name, wanted, peeled.attachments, progress)
        except NotAHar as error:
            raise UnreadableInput(f"{name}: is not a HAR: {error}; save the recording again as HAR") from None
    if peeled.has_changed():
        raise UnreadableInput(message(name))
    return replace(recording, notes=(*peeled.notes, *recording.notes))
