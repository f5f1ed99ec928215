"""One HTML page that computes trained networks in the browser, and the lesson to touch.

`assets` holds the page: a template, a style sheet, and plain scripts that compute what `cnnkit.nn` computes.
May import: `cnnkit.report` and the layers below it.
"""
