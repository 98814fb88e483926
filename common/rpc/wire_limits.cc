// Walks the bytes as protobuf's own parser does, field by field, and keeps a count for each repeated field. What is of
// another wire type than its field, the parser keeps as unknown, so it counts as that.
//
// Tested by wire_limits_test.cc.
#include "common/rpc/wire_limits.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace kedge {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr size_t kMaxDepth = 100;  // protobuf's own

bool IsText(const FieldDescriptor& field) { return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING; }

}  // namespace

// One check of one message.
class WireLimits::Walk {
 public:
  Walk(const WireLimits* limits, const Descriptor* message, google::protobuf::io::ZeroCopyInputStream* bytes)
      : limits_(limits), root_(message), input_(bytes) {
    input_.SetTotalBytesLimit(INT32_MAX);
  }

  absl::Status Run() {
    KEDGE_RETURN_IF_ERROR(Message(root_));
    return input_.ConsumedEntireMessage() ? absl::OkStatus() : Malformed();
  }

 private:
  absl::Status Malformed() const {
    return absl::InvalidArgumentError(absl::StrCat("the request is not a ", root_->name()));
  }

  // Fields up to the present limit of the input.
  absl::Status Message(const Descriptor* message) {
    while (const uint32_t tag = input_.ReadTag()) {
      const FieldDescriptor* field = message->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      KEDGE_RETURN_IF_ERROR(Field(field, tag));
    }
    return absl::OkStatus();
  }

  absl::Status Field(const FieldDescriptor* field, uint32_t tag) {
    const WireFormatLite::WireType type = WireFormatLite::GetTagWireType(tag);
    if (type == WireFormatLite::WIRETYPE_START_GROUP) return Malformed();  // nobody's: what is in one would not count
    const bool delimited = type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    const bool packed = delimited && field != nullptr && field->is_packable();
    const bool known =
        field != nullptr &&
        (packed || type == WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field->type())));
    if (!known) {
      if (++unknown_ > kMaxUnknown) {
        return absl::InvalidArgumentError(
            absl::StrCat("the request has more than ", kMaxUnknown, " fields that this server does not know"));
      }
      return Skip(tag);
    }
    if (field->is_repeated() && !packed) KEDGE_RETURN_IF_ERROR(Count(*field));
    if (!delimited) return Skip(tag);
    uint32_t size = 0;
    if (!input_.ReadVarint32(&size) || size > INT32_MAX) return Malformed();
    if (IsText(*field)) {
      if (size > LimitOf(*field).bytes) {
        return absl::InvalidArgumentError(absl::StrCat(Path(field, /*with_index=*/true), ": has ", size,
                                                       " bytes; at most ", LimitOf(*field).bytes, " are allowed"));
      }
      return input_.Skip(static_cast<int>(size)) ? absl::OkStatus() : Malformed();
    }
    const CodedInputStream::Limit end = input_.PushLimit(static_cast<int>(size));
    if (packed) {
      KEDGE_RETURN_IF_ERROR(Packed(*field));
    } else {
      if (path_.size() == kMaxDepth) {
        return absl::InvalidArgumentError(absl::StrCat(path_.front()->name(), ": is nested deeper than ", kMaxDepth));
      }
      path_.push_back(field);
      KEDGE_RETURN_IF_ERROR(Message(field->message_type()));
      path_.pop_back();
      if (!input_.ConsumedEntireMessage()) return Malformed();
    }
    if (input_.BytesUntilLimit() != 0) return Malformed();
    input_.PopLimit(end);
    return absl::OkStatus();
  }

  absl::Status Skip(uint32_t tag) { return WireFormatLite::SkipField(&input_, tag) ? absl::OkStatus() : Malformed(); }

  absl::Status Packed(const FieldDescriptor& field) {
    const WireFormatLite::WireType type =
        WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
    while (input_.BytesUntilLimit() > 0) {
      KEDGE_RETURN_IF_ERROR(Count(field));
      uint64_t varint = 0;
      const bool ok = type == WireFormatLite::WIRETYPE_VARINT
                          ? input_.ReadVarint64(&varint)
                          : input_.Skip(type == WireFormatLite::WIRETYPE_FIXED32 ? 4 : 8);
      if (!ok) return Malformed();
    }
    return absl::OkStatus();
  }

  absl::Status Count(const FieldDescriptor& field) {
    const WireLimit limit = LimitOf(field);
    if (++counts_[&field] <= limit.count) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(Path(&field, /*with_index=*/false), ": has more than ", limit.count, " elements"));
  }

  WireLimit LimitOf(const FieldDescriptor& field) const {
    const auto found = limits_->limits_.find(&field);
    return found == limits_->limits_.end() ? WireLimit() : found->second;
  }

  std::string Path(const FieldDescriptor* last, bool with_index) const {
    std::string path;
    const auto add = [&](const FieldDescriptor* field, bool index) {
      absl::StrAppend(&path, path.empty() ? "" : ".", field->name());
      const auto count = counts_.find(field);
      if (index && field->is_repeated() && count != counts_.end()) absl::StrAppend(&path, "[", count->second - 1, "]");
    };
    for (const FieldDescriptor* field : path_) add(field, true);
    add(last, with_index);
    return path;
  }

  const WireLimits* const limits_;
  const Descriptor* const root_;
  CodedInputStream input_;
  std::vector<const FieldDescriptor*> path_;
  absl::flat_hash_map<const FieldDescriptor*, uint32_t> counts_;
  uint32_t unknown_ = 0;
};

WireLimits::WireLimits(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    const FieldDescriptor* field =
        google::protobuf::DescriptorPool::generated_pool()->FindFieldByName(std::string(entry.field));
    KEDGE_CHECK(field != nullptr);
    limits_[field] = entry.limit;
  }
}

absl::Status WireLimits::Check(const Descriptor* message, google::protobuf::io::ZeroCopyInputStream* bytes) const {
  return Walk(this, message, bytes).Run();
}

std::vector<std::string> WireLimits::Unbounded(const Descriptor* message) const {
  std::vector<std::string> names;
  std::vector<const Descriptor*> left = {message};
  std::set<const Descriptor*> seen = {message};
  while (!left.empty()) {
    const Descriptor* const next = left.back();
    left.pop_back();
    for (int i = 0; i < next->field_count(); ++i) {
      const FieldDescriptor* const field = next->field(i);
      const bool bounded = limits_.contains(field);
      if ((field->is_repeated() || IsText(*field)) && !bounded) names.push_back(field->full_name());
      if (field->message_type() != nullptr && seen.insert(field->message_type()).second) {
        left.push_back(field->message_type());
      }
    }
  }
  return names;
}

std::string EarlyString(int field_number, google::protobuf::io::ZeroCopyInputStream* bytes, size_t most_bytes) {
  CodedInputStream input(bytes);
  std::string text;
  while (const uint32_t tag = input.ReadTag()) {
    if (WireFormatLite::GetTagFieldNumber(tag) != field_number) break;
    uint32_t size = 0;
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED ||
        !input.ReadVarint32(&size) || size > most_bytes || !input.ReadString(&text, static_cast<int>(size))) {
      return "";
    }
  }
  return text;
}

}  // namespace kedge
