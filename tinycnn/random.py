"""Random numbers: one default generator, seeded by `manual_seed`; everything random also takes ``generator=``."""

from __future__ import annotations

import threading

import numpy as np

from ._device import device
from ._tensor import Tensor, need, wrap


class Generator:
    """A source of random numbers (NumPy's PCG64). The same seed gives the same numbers on every machine.

    Not to be shared between Python threads: give each thread its own.

    Attributes:
        numpy: the `numpy.random.Generator` that draws.
    """

    def __init__(self, device: device | str = "cpu") -> None:
        self.device = device
        self.manual_seed(0x7C_4444)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, an integer (negative ones count from 2**64, as in PyTorch)."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"manual_seed: expected an int, got {type(seed).__name__} {seed!r}")
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: the seed must lie in [-2**63, 2**64), got {seed}")
        self._seed = int(seed) % 2**64
        self.numpy = np.random.Generator(np.random.PCG64(self._seed))
        return self

    def initial_seed(self) -> int:
        """The seed that this generator started from."""
        return self._seed

    def seed(self) -> int:
        """Start again from a seed taken from the operating system, and return it."""
        self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))
        return self._seed

    def key(self) -> int:
        """A fresh 63-bit key for a counter-based kernel (dropout)."""
        return int(self.numpy.integers(0, 2**63 - 1))

    def get_state(self) -> Tensor:
        """The state as a tensor of bytes, for `set_state`."""
        state = self.numpy.bit_generator.state
        inner = state["state"]
        words = [inner["state"], inner["inc"], state["has_uint32"], state["uinteger"], self._seed]
        return wrap(np.frombuffer(b"".join(int(w).to_bytes(16, "little") for w in words), np.uint8).copy())

    def set_state(self, state: Tensor) -> Generator:
        """Go on from a state that `get_state` returned.

        Raises:
            ValueError: if it is not such a state.
        """
        need("set_state", state)
        raw = state.array.tobytes() if state.array.dtype == np.uint8 else b""
        if len(raw) != 80:
            raise ValueError(
                f"set_state: expected the 80 bytes that get_state returns, got {state.array.shape} {state.dtype}"
            )
        words = [int.from_bytes(raw[i : i + 16], "little") for i in range(0, 80, 16)]
        self.manual_seed(words[4])
        self.numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": words[0], "inc": words[1]},
            "has_uint32": words[2],
            "uinteger": words[3],
        }
        return self


default_generator = Generator()


class _ThisThread(threading.local):
    generator: Generator | None = None


this_thread = _ThisThread()  # while a DataLoader loads a batch, the batch's generator stands in for the default one


def generator_or_default(generator: Generator | None = None) -> Generator:
    """The generator meant by an argument ``generator=``."""
    if generator is None:
        return this_thread.generator or default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"generator: expected a tinycnn.Generator, got {type(generator).__name__}")
    return generator


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: initial weights, dropout and shuffling repeat from here.

    While a `DataLoader` loads a batch, the batch's own generator stands in for it, here and in the functions below.
    """
    return generator_or_default().manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed."""
    return generator_or_default().seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return generator_or_default().initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state."""
    return generator_or_default().get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator into `new_state`."""
    need("set_rng_state", new_state)
    generator_or_default().set_state(new_state)
