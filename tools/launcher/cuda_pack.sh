# `./kedge cuda pack [--without-cuda] [FOLDER]`: a folder with which a machine proves and measures Kedge on its GPU
# (docs/gpu.md), without a compiler or a package. Default: .kedge/gpu-pack. --without-cuda: as far as it goes without a
# toolkit, to try the pack itself.
#
# Sourced by ./kedge, whose functions and variables it uses.

pack_cuda() {
  local folder=$root/.kedge/gpu-pack without='' from probe=''
  while (($#)); do
    case $1 in
      --without-cuda) without=yes ;;
      -h | --help) sed -n '1,3s/^# //p' "$root/tools/launcher/cuda_pack.sh"; return ;;
      -*) die "cuda pack: unknown flag $1; there is --without-cuda" ;;
      *) folder=$(realpath -m -- "$1") ;;
    esac
    shift
  done
  toolkit=
  if [[ -z $without ]]; then
    toolkit=$("$root/third_party/cuda/find_toolkit.sh" 2>&1) || die "cuda pack: $toolkit"
    export CUDA_HOME=$toolkit
  fi
  if [[ -e $folder && ! -e $folder/run_on_hardware.sh && -n $(ls -A -- "$folder") ]]; then
    die "cuda pack: $folder is not empty, and no pack"
  fi
  find_workspace
  bazel_options
  if [[ -n $toolkit && " ${options[*]} " != *' --config=cuda '* ]]; then options+=(--config=cuda); fi
  say "building a pack${toolkit:+ with CUDA ($toolkit)}"
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  trap 'interrupted 129' HUP
  if ! bazel build "${options[@]}" -- //tests/gpu/check:gpu_check //tests:make_tiny_model //cli:kedge \
    //router:kedge-router //prefill:kedge-prefill //decode:kedge-decode >&2; then
    stop_bazel
    die "the build failed"
  fi
  from=$(bazel info "${options[@]}" bazel-bin 2> /dev/null)
  stop_bazel
  if [[ -n $toolkit ]]; then
    probe=$(mktemp -d)
    trap "rm -rf -- '$probe'" EXIT
    "$root/tests/gpu/run_on_hardware.sh" --build-only "$probe" >&2 || die "the probe does not build"
  fi
  "$root/tests/gpu/make_pack.sh" "$from" "$probe" "$folder"
}
