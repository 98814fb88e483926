// From options to a printed answer: what `generate` and `run` share.
#ifndef KEDGE_CLI_GENERATE_FLOW_H_
#define KEDGE_CLI_GENERATE_FLOW_H_

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/generate_options.h"
#include "common/rpc/signals.h"

namespace kedge {

// Generates, and prints on stdout: the text as it comes and a final line feed, or one JSON object at the end.
// A signal cancels the call: kCancelled.
absl::StatusOr<Answer> GenerateAndPrint(const PromptOptions& prompt, const SamplingOptions& sampling,
                                        AnswerFormat format, Client* client, StopSignals* signals);

}  // namespace kedge

#endif  // KEDGE_CLI_GENERATE_FLOW_H_
