"""C++ code from protos, by the system's protoc and its gRPC plugin."""

def cc_grpc_proto_library(name, srcs, imports = [], deps = [], testonly = False):
    """One library with the messages and services of `srcs` (paths below this package, which is the import root).

    They may import `imports`, whose code is that of `deps`.
    """
    stems = [src[:-len(".proto")] for src in srcs]
    outs = [stem + ending for stem in stems for ending in (".pb.h", ".pb.cc", ".grpc.pb.h", ".grpc.pb.cc")]
    native.genrule(
        name = name + "_gen",
        srcs = srcs + imports,
        outs = outs,
        testonly = testonly,
        cmd = "protoc --proto_path=protos --cpp_out=$(RULEDIR) --grpc_out=$(RULEDIR) " +
              "--plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) " +
              " ".join(["$(location %s)" % src for src in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        copts = ["-Wno-unused-parameter"],
        includes = ["."],
        testonly = testonly,
        deps = ["@system//:grpc"] + deps,
    )
