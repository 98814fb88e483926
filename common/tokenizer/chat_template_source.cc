// Tested by chat_template_source_test.cc.
#include "common/tokenizer/chat_template_source.h"

#include <cstddef>
#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

// Models' own have some ten thousand. A tree takes a hundred times the memory of its source.
constexpr size_t kMaxBytes = 1 << 20;

}  // namespace

absl::StatusOr<jinja::Template> ParseChatTemplate(absl::string_view source) {
  if (source.size() > kMaxBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("a chat template has at most ", kMaxBytes, " bytes"));
  }
  if (const std::optional<size_t> offset = FindInvalidUtf8(source)) {
    return absl::InvalidArgumentError(absl::StrCat("not valid UTF-8 at byte ", *offset));
  }
  return jinja::Template::Parse(source);
}

absl::StatusOr<std::string> ReadChatTemplateFile(const std::string& path) {
  const std::string flag = absl::StrCat("--chat-template: ", Printable(path), ": ");
  std::ifstream file(path, std::ios::binary);
  std::string source(kMaxBytes + 1, '\0');  // one more than there may be
  file.read(source.data(), static_cast<std::streamsize>(source.size()));
  if (file.bad() || (file.fail() && !file.eof()))
    return absl::InvalidArgumentError(absl::StrCat(flag, "cannot be read"));
  source.resize(static_cast<size_t>(file.gcount()));
  if (source.empty()) return absl::InvalidArgumentError(absl::StrCat(flag, "is empty"));
  const absl::Status status = ParseChatTemplate(source).status();
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(flag, status.message()));
  return source;
}

}  // namespace kedge
