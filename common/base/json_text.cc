// The library's parser tells places to whoever listens to it, so the text is listened to before it is kept.
//
// Tested by json_text_test.cc.
#include "common/base/json_text.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace kedge {
namespace {

using Json = nlohmann::ordered_json;

// Counts depth and keeps the first fault. (false ends the parsing.)
class Listener : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    read_ = position;
    return false;
  }

  bool too_deep() const { return depth_ > kMaxJsonDepth; }
  size_t read() const { return read_; }

 private:
  bool Open() { return ++depth_ <= kMaxJsonDepth; }
  bool Close() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  size_t read_ = 0;  // bytes, up to the fault
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  Listener listener;
  if (!Json::sax_parse(text.begin(), text.end(), &listener)) {
    if (listener.too_deep()) {
      return absl::InvalidArgumentError(absl::StrCat("is JSON of more than ", kMaxJsonDepth, " levels"));
    }
    if (text.empty()) return absl::InvalidArgumentError("is empty; must be JSON");
    const size_t at = std::min(std::max<size_t>(listener.read(), 1) - 1, text.size());
    return absl::InvalidArgumentError(absl::StrCat("is not JSON at byte ", at));
  }
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  KEDGE_ASSIGN_OR_RETURN(Json json, ParseJson(text));
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat("is a JSON ", json.type_name(), "; must be an object"));
  }
  return json;
}

}  // namespace kedge
