"""The network: layers, the model that a configuration describes, and what its cells see.

Knows no data set: a shape and a number of classes are enough.
May import: `cnnkit.config`, `cnnkit.families` and the ground. Never `cnnkit.data`.
"""
