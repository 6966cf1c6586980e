"""Live recording: the mitmproxy addon, the proxy that `dfrecord record` runs, and the browser in front of it."""
