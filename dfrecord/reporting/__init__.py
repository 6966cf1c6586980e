"""Telling people what a recording shows: as text for a terminal (`words`), as a page for a browser (`page`)."""
