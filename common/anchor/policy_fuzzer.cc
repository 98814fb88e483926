// Fuzz target of ParsePolicy: whatever it accepts has a canonical form that parses back to the same policy.
#include "common/anchor/policy.h"
#include "common/base/check.h"
#include "common/testing/fuzz_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(data, data + size);
  kedge::PolicyNames names;
  names.sentence = {2, 5, 9};
  names.separators = {2, 3, 5};
  names.full_stop = 5;
  names.vocab_size = 100;
  for (const char* model_policy : {"", "anllm-ep,anchors=7"}) {
    names.model_policy = model_policy;
    const absl::StatusOr<kedge::Policy> policy = ParsePolicy(text, names);
    if (!policy.ok()) continue;
    const absl::StatusOr<kedge::Policy> again = ParsePolicy(CanonicalPolicy(*policy), kedge::PolicyNames());
    KEDGE_CHECK(again.ok() && *again == *policy);
  }
  // The same text as a model's metadata.
  names.model_policy = text;
  ParsePolicy("", names).IgnoreError();
  ParsePolicy("anllm-ep", names).IgnoreError();
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  return {
      "full",
      "anllm-ep",
      "anllm-ac",
      "streaming,sinks=8",
      "sep",
      "salient",
      "window,recent=all,view=own",
      "salient,anchors=sentence,longest=8,write=anchored",
      "anchors=33+46,insert=off,longest=512,keep=anchors,sinks=4,recent=128,view=all,prefill=anchored,salient=0,"
      "write=anchored",
  };
}
