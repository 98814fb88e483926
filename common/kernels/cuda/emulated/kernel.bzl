"""What a target needs whose sources hold kernels for the emulated device."""

KERNEL_COPTS = [
    # Kernels read floats as int4 and the like, as CUDA has it.
    "-fno-strict-aliasing",
    # And aligned, or a device stops: emulated/misaligned.cc says where, and needs no UBSan. (Where there is UBSan,
    # "null" is the same check.)
    "-fsanitize=alignment",
    "-fno-sanitize-recover=alignment,null",
    "-Wno-unknown-pragmas",  # unroll
]
