"""Training: a recipe in, typed events out, a run directory that outlives the kernel.

`loop.train` yields events and knows no widget; `launch.start` runs it in a worker thread.
"""
