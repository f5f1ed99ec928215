"""Images and labels as tensors: found or fetched, checked, prepared once, split by the seed.

Knows no network.
May import: `cnnkit.config`, `cnnkit.families` and the ground. Never `cnnkit.nn`.
"""
