"""Side-by-side measurements on the sandbox: ``python -m bench [part …]``.

Each part is a module with ``measure()`` (what was measured, as JSON), ``table(data)`` (the same as Markdown)
and ``figures(data)`` (the numbers that a later run is compared with).
"""
