// A split model is NAME-00001-of-0000N.gguf and so on, as llama.cpp's gguf-split writes it. Each part is a whole GGUF
// file with some of the tensors and the keys split.no (from 0), split.count and split.tensors.count; the other metadata
// are the first's.
//
// Tested by gguf_split_test.cc.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "common/model/gguf.h"

namespace kedge {
namespace {

constexpr absl::string_view kNumber = "split.no";
constexpr absl::string_view kCount = "split.count";
constexpr absl::string_view kTensors = "split.tensors.count";

// `number` from 1.
std::string Ending(int64_t number, int64_t count) { return absl::StrFormat("-%05d-of-%05d.gguf", number, count); }

}  // namespace

absl::Status GgufFile::JoinParts() {
  if (!Has(kCount)) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(const int64_t count, GetInt(kCount));
  if (count == 1) return absl::OkStatus();
  if (count < 1 || count > 99999)
    return KeyError(*this, kCount, absl::StrCat("must be from 1 to 99999, found ", count));
  KEDGE_ASSIGN_OR_RETURN(const int64_t number, GetInt(kNumber));
  if (number < 0 || number >= count) {
    return KeyError(*this, kNumber, absl::StrCat("must be below ", kCount, ", ", count, "; found ", number));
  }

  const std::string ending = Ending(number + 1, count);
  const bool is_named_so = absl::EndsWith(name_, ending);
  const std::string stem = is_named_so ? name_.substr(0, name_.size() - ending.size()) : "";
  if (number > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        name_, ": part ", number + 1, " of ", count, " of a split model; give its first part, ",
        is_named_so ? stem : "whose name ends in ", Ending(1, count), ", and the others are found beside it"));
  }
  if (!is_named_so) {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": part 1 of ", count,
                                                   " of a split model; its name must end in ", ending,
                                                   " so that the others are found beside it"));
  }
  for (int64_t i = 1; i < count; ++i) {
    const std::string path = absl::StrCat(stem, Ending(i + 1, count));
    absl::StatusOr<std::shared_ptr<GgufFile>> part = Map(path);
    if (!part.ok()) {
      return absl::Status(part.status().code(), absl::StrCat(part.status().message(), " (part ", i + 1, " of ", count,
                                                             " of the split model ", name_, ")"));
    }
    KEDGE_RETURN_IF_ERROR(AddPart(*std::move(part), i, count));
  }
  KEDGE_ASSIGN_OR_RETURN(const int64_t tensors, GetInt(kTensors));
  if (tensors != static_cast<int64_t>(tensors_.size())) {
    return KeyError(*this, kTensors,
                    absl::StrCat(tensors, " tensors, but the ", count, " parts have ", tensors_.size(),
                                 ": one of them is of another model"));
  }
  return absl::OkStatus();
}

absl::Status GgufFile::AddPart(std::shared_ptr<const GgufFile> part, int64_t number, int64_t count) {
  const auto expect = [&](absl::string_view key, int64_t expected) -> absl::Status {
    const absl::StatusOr<int64_t> found = part->GetInt(key);
    if (found.ok() && *found == expected) return absl::OkStatus();
    return KeyError(*part, key,
                    absl::StrCat("must be ", expected, found.ok() ? absl::StrCat(", found ", *found) : "",
                                 ": this is not part ", number + 1, " of ", count, " of the split model ", name_));
  };
  KEDGE_RETURN_IF_ERROR(expect(kNumber, number));
  KEDGE_RETURN_IF_ERROR(expect(kCount, count));
  KEDGE_ASSIGN_OR_RETURN(const int64_t tensors, GetInt(kTensors));
  KEDGE_RETURN_IF_ERROR(expect(kTensors, tensors));
  for (const GgufTensor& tensor : part->tensors_) {
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
      return TensorError(*part, tensor.name, absl::StrCat("is in another part of the split model ", name_, " as well"));
    }
    tensors_.push_back(tensor);
  }
  further_parts_.push_back(std::move(part));
  return absl::OkStatus();
}

uint64_t GgufFile::total_bytes() const {
  uint64_t bytes = bytes_.size();
  for (const std::shared_ptr<const GgufFile>& part : further_parts_) bytes += part->bytes().size();
  return bytes;
}

}  // namespace kedge
