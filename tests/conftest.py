"""What all tests share: how many examples Hypothesis draws, and where random numbers start."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from hypothesis import settings

import tinycnn

settings.register_profile("ci", max_examples=25, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state, whichever ran before it."""
    random.seed(0)
    np.random.seed(0)
    tinycnn.manual_seed(0)
