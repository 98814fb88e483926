"""A cc_library whose sources nvcc compiles for GPUs, with a report of each: what the assembler says of its kernels."""

# Code for compute capability 8.0 (which 8.6 and 8.7 run too), 8.9 and 9.0, and PTX, which a later device's driver
# compiles when a program starts. PTX of compute_90 and no less: what is compiled for an earlier one does not wait for
# the kernel in front of it (device.h), and a later device would let it begin early.
ARCHITECTURES = ["sm_80", "sm_89", "sm_90a"]
PTX = "compute_90"

_OPTIONS = [
    "--x=cu",
    "--std=c++20",
    "-O3",
    "-lineinfo",  # profilers name lines; the code stays the same
    "--compress-mode=size",  # code for four targets is 25 MB in each program, and so a seventh
    "--expt-relaxed-constexpr",
    # The bits: what is fused is written out, as on the host.
    "-fmad=false",
    "-Xcompiler=-fPIC,-ffp-contract=off",
    "-Xptxas=-v",  # the report
] + [
    "-gencode=arch=%s,code=%s" % (each.replace("sm", "compute"), each)
    for each in ARCHITECTURES + [PTX]
]

# REPORT COMMAND...: what nvcc prints is the report. Errors and warnings are shown.
_COMPILE = """
report=$1; shift
"$@" > "$report" 2>&1 || { cat "$report" >&2; exit 1; }
grep -w warning "$report" >&2 || true
"""

def _device_library_impl(ctx):
    infos = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps])
    context = infos.compilation_context
    sources = [file for file in ctx.files.srcs if file.extension == "cc"]
    headers = [file for file in ctx.files.srcs if file.extension == "h"] + ctx.files.hdrs + ctx.files._device_headers
    objects = []
    reports = []
    for source in sources:
        stem = "%s/%s" % (ctx.label.name, source.basename)
        object = ctx.actions.declare_file(stem + ".o")
        report = ctx.actions.declare_file(stem + ".ptxas")
        arguments = ctx.actions.args()
        arguments.add_all([report, ctx.file._nvcc])
        arguments.add_all(_OPTIONS)
        arguments.add_all(context.quote_includes, before_each = "-I")
        arguments.add_all(depset(transitive = [context.includes, context.system_includes]), before_each = "-isystem")
        arguments.add_all(["-c", source, "-o", object])
        ctx.actions.run_shell(
            mnemonic = "Nvcc",
            progress_message = "Compiling %s for GPUs" % source.short_path,
            inputs = depset([source] + headers, transitive = [context.headers]),
            tools = [ctx.file._nvcc],
            outputs = [object, report],
            command = _COMPILE,
            arguments = [arguments],
            use_default_shell_env = True,  # nvcc finds g++ by PATH
        )
        objects.append(object)
        reports.append(report)

    toolchain = ctx.attr._cc_toolchain[cc_common.CcToolchainInfo]
    linking, _ = cc_common.create_linking_context_from_compilation_outputs(
        actions = ctx.actions,
        name = ctx.label.name,
        feature_configuration = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain),
        cc_toolchain = toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            objects = depset(objects),
            pic_objects = depset(objects),
        ),
        linking_contexts = [infos.linking_context],
        disallow_dynamic_library = True,
    )
    own = CcInfo(
        compilation_context = cc_common.create_compilation_context(headers = depset(headers)),
        linking_context = linking,
    )
    return [
        DefaultInfo(files = depset(objects)),
        cc_common.merge_cc_infos(direct_cc_infos = [own], cc_infos = [infos]),
        OutputGroupInfo(ptxas = depset(reports)),
    ]

device_library = rule(
    implementation = _device_library_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".cu.cc", ".h"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "deps": attr.label_list(providers = [CcInfo]),
        "_device_headers": attr.label_list(
            default = [":device.h", ":ptx.h"],
            allow_files = [".h"],
        ),
        "_nvcc": attr.label(
            default = "//third_party/cuda:nvcc",
            allow_single_file = True,
        ),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
)
