"""Guards on features that people have already: learning from shards on disk, and judging them, never all in memory."""
