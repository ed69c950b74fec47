"""Functions that are a few lines over the primitives of `ops`: no kernel, no gradient of their own.

Whoever wants to know the engine reads `ops`; whoever wants to know what PyTorch's softshrink was looks here.
"""
