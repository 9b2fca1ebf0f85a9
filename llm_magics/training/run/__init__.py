"""One training while it runs: setup, loop, step, checkpoint, events."""
