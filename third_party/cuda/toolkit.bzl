"""The repository @cuda: the toolkit that find_toolkit.sh finds. Bazel looks at it in --config=cuda alone."""

def _cuda_toolkit_impl(ctx):
    found = ctx.execute([ctx.path(Label("//third_party/cuda:find_toolkit.sh"))])
    if found.return_code != 0:
        fail(found.stderr.strip())
    home = ctx.path(found.stdout.strip())
    nvcc = home.get_child("bin").get_child("nvcc")
    ctx.symlink(home.get_child("include"), "include")
    for folder in ["lib64", "lib"]:
        library = home.get_child(folder).get_child("libcudart_static.a")
        if library.exists:
            ctx.symlink(library, "libcudart_static.a")
            break

    # nvcc finds the rest of the toolkit beside itself. With its version, so that another one compiles everything anew.
    version = ctx.execute([nvcc, "--version"]).stdout.strip().split("\n")[-1]
    ctx.file("nvcc", "#!/bin/sh\n# %s\nexec '%s' \"$@\"\n" % (version, nvcc))
    ctx.file("toolkit.h", "#define KEDGE_CUDA_TOOLKIT %s\n" % json.encode(str(home)))
    ctx.symlink(ctx.path(Label("//third_party/cuda:cuda.BUILD")), "BUILD")

cuda_toolkit = repository_rule(
    implementation = _cuda_toolkit_impl,
    environ = ["CUDA_HOME", "HOME", "XDG_CACHE_HOME"],
    local = True,
)
