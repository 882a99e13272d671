"""What all pages share: templates and style, numbers as text, charts, maps.

In: values that a page shows. Out: HTML, SVG and JSON that are safe to stand in it; nothing from the
network. Called by report and study. Start with ``render``; ``maps`` and ``charts`` hold colours and scales
of all pages, ``map_tool`` prepares the one map component that there is (``map_view.js`` draws one map and
knows keys and colours, ``map_tool.js`` puts several beside each other, with a list and a table).
"""
