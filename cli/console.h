// What the tool says to its user on stderr; stdout belongs to results.
#ifndef KEDGE_CLI_CONSOLE_H_
#define KEDGE_CLI_CONSOLE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Writes "kedge: MESSAGE" as one line. Thread-safe.
void Say(absl::string_view message);

// Writes "kedge: CODE_NAME: MESSAGE". REQUIRES: !status.ok().
void SayError(const absl::Status& status);

// Writes `text` to stderr as it is. Thread-safe.
void WriteErr(absl::string_view text);

// Writes all of `text` to stdout at once, past any buffer. False when nobody reads it any more.
bool WriteOut(absl::string_view text);

// The same for what a model wrote: where stdout is a terminal, without control characters (ForTerminal), which could do
// as they please with it; unless it is wanted `raw`.
bool WriteAnswer(absl::string_view text, bool raw);

}  // namespace kedge

#endif  // KEDGE_CLI_CONSOLE_H_
