"""Traffic as it was seen: readers (HAR dialects, mitmproxy flows) and the writer, all in terms of `exchange`."""
