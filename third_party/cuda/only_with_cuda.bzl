"""For targets that need CUDA: without --config=cuda, they and what depends on them are no part of //..."""

ONLY_WITH_CUDA = select({
    "//third_party/cuda:on": [],
    "//conditions:default": ["//third_party/cuda:without"],
})
