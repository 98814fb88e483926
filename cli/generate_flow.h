// From options to a printed answer: what `generate` and `run` share.
#ifndef KEDGE_CLI_GENERATE_FLOW_H_
#define KEDGE_CLI_GENERATE_FLOW_H_

#include "absl/status/status.h"
#include "cli/client.h"
#include "cli/generate_options.h"
#include "common/rpc/signals.h"

namespace kedge {

// Generates, and prints on stdout: the text as it comes and a final line feed, or one JSON object at the end; and on
// stderr, if asked for, what was kept of the prompt, and then the summary. A signal cancels the call: kCancelled.
// REQUIRES: ReadPrompt has succeeded.
absl::Status GenerateAndPrint(const PromptOptions& prompt, const SamplingOptions& sampling, AnswerFormat format,
                              Client* client, StopSignals* signals);

}  // namespace kedge

#endif  // KEDGE_CLI_GENERATE_FLOW_H_
