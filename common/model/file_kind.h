// What people give for a model that is no GGUF file, so that the refusal can say what it is and what to do.
#ifndef KEDGE_COMMON_MODEL_FILE_KIND_H_
#define KEDGE_COMMON_MODEL_FILE_KIND_H_

#include <string>

#include "absl/strings/string_view.h"

namespace kedge {

// Of a file that does not begin with "GGUF", by its first bytes (64 KiB are enough for all that is known) and its path.
// One line.
std::string DescribeOtherFile(const std::string& path, absl::string_view beginning);

// Of a folder, by the names in it. One line.
std::string DescribeFolder(const std::string& path);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_FILE_KIND_H_
