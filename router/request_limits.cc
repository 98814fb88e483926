// Tested by request_limits_test.cc: every field that can grow has its line here.
#include "router/request_limits.h"

namespace kedge {
namespace {

constexpr WireLimit kText = {};  // prompts and their parts: as long as a message can be
constexpr WireLimit kName = {.bytes = 1024};
constexpr WireLimit kParts = {.count = kMaxChatParts};

}  // namespace

WireLimits RequestLimits(uint32_t context_length) {
  return WireLimits({
      {"kedge.inference.v1.GenerateRequest.request_id", kName},
      {"kedge.inference.v1.GenerateRequest.model", kName},
      {"kedge.inference.v1.GenerateRequest.text", kText},
      {"kedge.inference.v1.TokenIds.ids", {.count = context_length}},
      {"kedge.inference.v1.ChatMessages.messages", kParts},
      {"kedge.inference.v1.ChatMessages.tools", kParts},
      {"kedge.inference.v1.Tool.name", kName},
      {"kedge.inference.v1.Tool.description", kText},
      {"kedge.inference.v1.Tool.parameters", kText},
      {"kedge.inference.v1.ChatMessage.role", kName},
      {"kedge.inference.v1.ChatMessage.content", kText},
      {"kedge.inference.v1.ChatMessage.tool_calls", kParts},
      {"kedge.inference.v1.ChatMessage.tool_call_id", kName},
      {"kedge.inference.v1.ChatMessage.name", kName},
      {"kedge.inference.v1.ChatMessage.reasoning_content", kText},
      {"kedge.inference.v1.ToolCall.id", kName},
      {"kedge.inference.v1.ToolCall.name", kName},
      {"kedge.inference.v1.ToolCall.arguments", kText},
      {"google.protobuf.Struct.fields", kParts},
      {"google.protobuf.Struct.FieldsEntry.key", kName},
      {"google.protobuf.ListValue.values", kParts},
      {"google.protobuf.Value.string_value", kText},
      {"kedge.inference.v1.SamplingParams.stop", {.count = kMaxStopStrings, .bytes = kMaxStopBytes}},
      {"kedge.inference.v1.SamplingParams.stop_token_ids", {.count = 1024}},
      {"kedge.inference.v1.SamplingParams.logit_bias", {.count = 4096}},
      {"kedge.inference.v1.CacheOptions.policy", kName},
      {"kedge.inference.v1.CacheOptions.cache_salt", kName},
      {"kedge.inference.v1.CacheOptions.pinned", kParts},
      {"kedge.inference.v1.CacheOptions.anchor_spans", kParts},
      {"kedge.inference.v1.TokenizeRequest.model", kName},
      {"kedge.inference.v1.TokenizeRequest.text", {.bytes = kMaxTextBytes}},
      {"kedge.inference.v1.DetokenizeRequest.model", kName},
      {"kedge.inference.v1.DetokenizeRequest.token_ids", {.count = kMaxListedTokens}},
  });
}

}  // namespace kedge
