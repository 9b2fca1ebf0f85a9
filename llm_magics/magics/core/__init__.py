"""What every magic is made of: options, the notebook's names, completion, live output."""
