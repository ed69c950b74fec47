"""What a user may tell the kernels; `tinycnn.backends` is where it is said."""

allow_winograd = True  # whether 3 x 3 convolutions in float32 may be computed by Winograd's algorithm
allow_winograd_on_gpu = True  # the same on a GPU
allow_tf32 = False  # whether products of float32 on a GPU may be computed by tensor cores, with 10 bits of mantissa
capturing = False  # whether launches on a GPU are being captured: nothing may wait for it then
held: list[object] = []  # what the graph that is being captured must keep alive
