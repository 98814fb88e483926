// The library's parser tells places to whoever listens to it, so the text is listened to before it is kept.
//
// Tested by json_text_test.cc.
#include "common/base/json_text.h"

#include <algorithm>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace kedge {
namespace {

using Json = nlohmann::ordered_json;

// Counts depth and keeps the first fault. (false ends the parsing.)
class Listener : public nlohmann::json_sax<Json> {
 public:
  explicit Listener(size_t values) : values_(values) {}

  bool null() override { return Count(); }
  bool boolean(bool) override { return Count(); }
  bool number_integer(number_integer_t) override { return Count(); }
  bool number_unsigned(number_unsigned_t) override { return Count(); }
  bool number_float(number_float_t, const string_t&) override { return Count(); }
  bool string(string_t&) override { return Count(); }
  bool binary(binary_t&) override { return Count(); }
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
  bool too_many() const { return too_many_; }
  size_t values() const { return values_; }  // that are left
  size_t read() const { return read_; }

 private:
  bool Count() {
    too_many_ = values_ == 0;
    if (!too_many_) --values_;
    return !too_many_;
  }
  bool Open() { return ++depth_ <= kMaxJsonDepth && Count(); }
  bool Close() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  size_t values_;
  bool too_many_ = false;
  size_t read_ = 0;  // bytes, up to the fault
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, size_t* values) {
  Listener listener(values == nullptr ? std::numeric_limits<size_t>::max() : *values);
  if (!Json::sax_parse(text.begin(), text.end(), &listener)) {
    if (listener.too_deep()) {
      return absl::InvalidArgumentError(absl::StrCat("is JSON of more than ", kMaxJsonDepth, " levels"));
    }
    if (listener.too_many()) return absl::InvalidArgumentError("is JSON of too many values");
    if (text.empty()) return absl::InvalidArgumentError("is empty; must be JSON");
    const size_t at = std::min(std::max<size_t>(listener.read(), 1) - 1, text.size());
    return absl::InvalidArgumentError(absl::StrCat("is not JSON at byte ", at));
  }
  if (values != nullptr) *values = listener.values();
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

absl::StatusOr<Json> ParseJsonObject(absl::string_view text, size_t* values) {
  KEDGE_ASSIGN_OR_RETURN(Json json, ParseJson(text, values));
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat("is a JSON ", json.type_name(), "; must be an object"));
  }
  return json;
}

}  // namespace kedge
