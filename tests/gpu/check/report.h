// Results as lines of JSON, in the form that table.py takes from every program of tests/gpu.
#ifndef KEDGE_TESTS_GPU_CHECK_REPORT_H_
#define KEDGE_TESTS_GPU_CHECK_REPORT_H_

#include <cstdio>
#include <string>

namespace kedge {

// `what` and `note` hold nothing that JSON would escape.
inline void Report(const std::string& part, const std::string& what, double value, const char* unit,
                   const std::string& note = "") {
  std::printf("{\"part\": \"%s\", \"what\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"note\": \"%s\"}\n",
              part.c_str(), what.c_str(), value, unit, note.c_str());
  std::fflush(stdout);
}

}  // namespace kedge

#endif  // KEDGE_TESTS_GPU_CHECK_REPORT_H_
