"""Text in, result object out: translation and summaries, without IPython."""
