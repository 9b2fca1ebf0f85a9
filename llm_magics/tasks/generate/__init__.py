"""Text that goes on from a prompt."""
