"""What a user may tell the kernels of the CPU column; `tinycnn.backends.cpu` is where it is said."""

allow_winograd = True  # whether 3 x 3 convolutions in float32 may be computed by Winograd's algorithm
