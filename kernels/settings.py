"""What a user may tell the kernels; `tinycnn.backends` is where it is said."""

from typing import Any

allow_winograd = True  # whether convolutions in float32 may be computed by Winograd's algorithm
allow_winograd_on_gpu = True  # the same on a GPU
allow_tf32 = False  # whether products of float32 on a GPU may be computed by tensor cores, with 10 bits of mantissa
capturing = False  # whether launches on a GPU are being captured: nothing may wait for it then
held: list[object] = []  # what the graph that is being captured, or replayed, must keep alive
steps: list[Any] = []  # of the capture: what asks for the numbers of a step, and the arrays they are in
numbers: list[Any] | None = None  # while an optimizer is captured: its launches note the arrays of their numbers
filling: Any = None  # while a replay asks an optimizer for new numbers: an iterator over these arrays
