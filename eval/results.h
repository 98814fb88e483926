// What has been measured so far: every case under every policy, as a value and as a file that grows line by line.
//
// The file is text, tab-separated: what it is, the settings, and then lines of four kinds in any order but that what a
// line refers to stands before it:
//
//   kedge-eval  2
//   settings    JSON
//   policy      number  name  canonical  heads
//   case        number  text  kind  number-in-text  form  length  full_rows  full_bytes
//   o           policy  case  right  found  same  loss  tokens  divergence  agreeing  rows  bytes
//
// Numbers of policies and cases count from 0. All figures are whole numbers, so what is read is what was written.
#ifndef KEDGE_EVAL_RESULTS_H_
#define KEDGE_EVAL_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
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
  bool has_adapter = false;
  std::string numerics_class;
  std::string kv_type;
  std::string text;  // what the texts and questions were made from: a name and a hash
  uint32_t cases = 0;
  std::vector<uint32_t> lengths;
  friend bool operator==(const EvalSettings&, const EvalSettings&) = default;
};

struct MeasuredPolicy {
  std::string name;       // as it was asked for
  std::string canonical;  // and what is put in its place, behind an @ (baselines.h)
  std::string heads;      // that choose salient sequences; empty where none are chosen
  friend bool operator==(const MeasuredPolicy&, const MeasuredPolicy&) = default;
};

struct EvalRecord {
  uint32_t policy = 0;  // number
  uint32_t made = 0;    // number of the case
  Outcome outcome;
  friend bool operator==(const EvalRecord&, const EvalRecord&) = default;
};

struct EvalResults {
  EvalSettings settings;
  std::vector<MeasuredPolicy> policies;
  std::vector<MeasuredCase> cases;
  std::vector<EvalRecord> records;

  // Their numbers; they are added where they are not there. A policy is known by all but its name.
  uint32_t NumberOf(const MeasuredPolicy& policy);
  uint32_t NumberOf(const MeasuredCase& made);
  // How many cases of a text have been measured under a policy, known by all but its name.
  size_t Count(const MeasuredPolicy& policy, absl::string_view text) const;
  // Adds what is not there.
  void Add(uint32_t policy, uint32_t made, const Outcome& outcome);

  // Of all records of a policy for whose cases `wanted` is true.
  template <typename Wanted>
  Measure Sum(uint32_t policy, Wanted wanted) const {
    Measure sum;
    for (const EvalRecord& record : records) {
      if (record.policy == policy && wanted(cases[record.made])) sum.Add(cases[record.made], record.outcome);
    }
    return sum;
  }
};

// How much of results a file has.
struct WrittenResults {
  size_t policies = 0;
  size_t cases = 0;
  size_t records = 0;
};
// The lines that are missing in it; all of the file, head included, if it has nothing. `written` is brought up to date.
std::string MissingLines(const EvalResults& results, WrittenResults* written);

// A last line without an end is left out: whoever wrote it was stopped. kInvalidArgument names the line: another
// version of the format, a field too few or too many, no number, a number of a policy or case that is not there.
absl::StatusOr<EvalResults> ParseResults(absl::string_view text);

// Settings and records as one JSON object; each record with the names that it refers to.
std::string ResultsJson(const EvalResults& results);

}  // namespace kedge

#endif  // KEDGE_EVAL_RESULTS_H_
