"""From the world: what a recipe asks for, and the regions of its place.

In: one RECIPE.toml. Out: the recipe, checked, and its regions. Torch-free. Start with ``recipe``; ``place``
divides what it names; a source of pictures or labels is a folder with its ``settings``, ``tiles`` the first.
"""
