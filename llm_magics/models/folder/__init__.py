"""What is on disk: the hub and its cache, the judge of a folder, formats, weights, precision."""
