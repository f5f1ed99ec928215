"""The choices that a configuration names: poolings, heads, activations, optimizers, schedules, data sets.

One module a family, one registry a module. An entry declares everything that others need to know of it.
Importing this package loads no torch; what computes loads torch when it is called.
May import: the other modules on the ground (`cnnkit.errors`, `cnnkit.files`, …).
"""
