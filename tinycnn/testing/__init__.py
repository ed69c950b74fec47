"""Tools for testing operations, ours and yours: `gradcheck`, `gradgradcheck`, and Hypothesis strategies.

`tinycnn.testing.strategies` needs Hypothesis and is imported by name: ``from tinycnn.testing import strategies``.
"""

from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
