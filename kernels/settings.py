"""What a user may tell the kernels; `tinycnn.backends` is where it is said."""

allow_winograd = True  # whether 3 x 3 convolutions in float32 may be computed by Winograd's algorithm
capturing = False  # whether launches on a GPU are being captured: nothing may wait for it then
held: list[object] = []  # what the graph that is being captured must keep alive
