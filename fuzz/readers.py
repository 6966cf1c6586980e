"""Coverage-guided fuzzing of the readers: `python -m fuzz.readers FOLDER -max_total_time=60`.

Whatever the bytes: they are read, or refused in one line; and the HAR that is written of what was read tells the same
exchanges again. No other exception, no hang, no memory.
"""

from __future__ import annotations

import io
import sys

import atheris

with atheris.instrument_imports(include=["dfrecord.recording"]):
    from dfrecord.errors import UnreadableInput
    from dfrecord.recording.har_writer import har_chunks
    from dfrecord.recording.reader import read


def one(content: bytes) -> None:
    """One input of the fuzzer."""
    try:
        recording = read(io.BytesIO(content))
    except UnreadableInput as error:
        if "\n" in str(error):
            raise AssertionError("a message is one line") from error
        return
    again = read(io.BytesIO(b"".join(har_chunks(recording.exchanges)))).exchanges
    for told, exchange in zip(again, recording.exchanges, strict=True):
        assert (told.request, told.response, told.error) == (exchange.request, exchange.response, exchange.error)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
