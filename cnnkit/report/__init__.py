"""One HTML page that shows a run or a study, drawn from kept files only.

May import: `cnnkit.comparison`, `cnnkit.probe` and the layers below them.
"""
