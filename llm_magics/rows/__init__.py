"""One row after another: read from files and objects, worked through, written, scored."""
