"""Kernels, x.cu.cc: compiled by g++ for the emulated device, and by nvcc where Kedge is built with --config=cuda."""

load("//third_party/cuda:only_with_cuda.bzl", "ONLY_WITH_CUDA")
load(":device_library.bzl", "device_library")

# What a target needs whose sources hold kernels for the emulated device.
KERNEL_COPTS = [
    # Kernels read floats as int4 and the like, as CUDA has it.
    "-fno-strict-aliasing",
    # And aligned, or a device stops: emulated/misaligned.cc says where, and needs no UBSan. (Where there is UBSan,
    # "null" is the same check.)
    "-fsanitize=alignment",
    "-fno-sanitize-recover=alignment,null",
    "-Wno-unknown-pragmas",  # unroll
]

def kernel_library(name, srcs, deps, hdrs = [], testonly = False):
    """Makes emulated_NAME, a cc_library, and device_NAME, which needs --config=cuda.

    Args:
      name: of the kernels.
      srcs: x.cu.cc and private headers.
      deps: of both; device.h and what it includes need not be named.
      hdrs: headers.
      testonly: as everywhere.
    """
    native.cc_library(
        name = "emulated_" + name,
        testonly = testonly,
        srcs = srcs,
        hdrs = hdrs,
        copts = KERNEL_COPTS,
        deps = deps + ["//common/kernels/cuda/emulated:kernels"],
    )
    device_library(
        name = "device_" + name,
        testonly = testonly,
        srcs = srcs,
        hdrs = hdrs,
        target_compatible_with = ONLY_WITH_CUDA,
        deps = deps + ["//third_party/cuda:runtime"],
    )
