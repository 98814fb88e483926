// What has been measured so far, as a value and as a JSON file that a later run goes on from.
#ifndef KEDGE_EVAL_RESULTS_H_
#define KEDGE_EVAL_RESULTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "eval/measure.h"

namespace kedge {

// Everything that the figures depend on beside policy and case. Two runs with equal settings measure the same.
struct EvalSettings {
  std::string model;        // its name
  std::string fingerprint;  // of its content, its adapter's included
  std::string numerics_class;
  std::string kv_type;
  std::string text;  // what the texts and questions were made from: a name and a hash
  uint32_t cases = 0;
  std::vector<uint32_t> lengths;
  friend bool operator==(const EvalSettings&, const EvalSettings&) = default;
};

// One policy, one text, the cases of one form and length on it.
struct EvalRecord {
  std::string policy;  // as it was asked for
  std::string canonical_policy;
  std::string heads;  // that chose salient sequences; empty where none are chosen
  std::string text;
  std::string form;     // "text", or one of QuestionForms
  uint32_t length = 0;  // tokens
  Measure measure;
  friend bool operator==(const EvalRecord&, const EvalRecord&) = default;
};

struct EvalResults {
  EvalSettings settings;
  std::vector<EvalRecord> records;

  // Whether `text` has been measured under a policy with these heads.
  bool Has(absl::string_view canonical_policy, absl::string_view heads, absl::string_view text) const;
  // Of all records of a policy for which `wanted` is true.
  template <typename Wanted>
  Measure Sum(absl::string_view policy, Wanted wanted) const {
    Measure sum;
    for (const EvalRecord& record : records) {
      if (record.policy == policy && wanted(record)) sum += record.measure;
    }
    return sum;
  }
};

// One JSON object, indented.
std::string ResultsJson(const EvalResults& results);
// kInvalidArgument names the field: not JSON, another version of the format, a field missing or of a wrong type.
absl::StatusOr<EvalResults> ParseResults(absl::string_view json);

}  // namespace kedge

#endif  // KEDGE_EVAL_RESULTS_H_
