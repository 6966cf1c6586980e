"""Telling people what a recording shows: in words for a terminal (`words`), as one page for a browser (`page`)."""
