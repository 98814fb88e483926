// Tested by gpu_check_test.sh.
#include "tests/gpu/check/bits.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "common/base/status.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "tests/golden_bits.h"
#include "tests/gpu/check/report.h"

namespace kedge {
namespace {

constexpr uint32_t kCompany = 64;  // requests in one step

// "MODEL KVTYPE" -> the hash of each content, as a line of the file has them.
using Hashes = std::map<std::string, std::string>;

std::string LineOf(absl::Span<const BitsTrail> trails) {
  std::string line;
  for (const BitsTrail& trail : trails) absl::StrAppendFormat(&line, " %016x", trail.back());
  return line;
}

absl::StatusOr<Hashes> ReadHashes(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("--expect: cannot read ", path));
  Hashes hashes;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string model, kv_type, rest;
    words >> model >> kv_type;
    std::getline(words, rest);
    hashes[absl::StrCat(model, " ", kv_type)] = rest;
  }
  return hashes;
}

absl::Status WriteHashes(const Hashes& hashes, const std::string& path) {
  std::ofstream file(path, std::ios::trunc);
  for (const auto& [key, line] : hashes) file << key << line << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::UnavailableError(absl::StrCat("--write: cannot write ", path));
}

// The golden contents, and others that keep them company.
std::vector<Content> InCompany(uint32_t vocab_size) {
  std::vector<Content> contents = GoldenContents(vocab_size);
  const size_t golden = contents.size();
  for (uint32_t i = 0; contents.size() < kCompany; ++i) {
    Content other = contents[i % golden];
    other.prompt_length = 30 + i;  // up to 89
    for (uint32_t at = i % 7; at < other.ids.size(); at += 7) other.ids[at] = (at + i * 29) % vocab_size;
    contents.push_back(std::move(other));
  }
  return contents;
}

// Where two trails part; "" where they do not.
std::string FirstDifference(const BitsTrail& one, const BitsTrail& other) {
  const size_t same = std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin();
  if (same == one.size() && same == other.size()) return "";
  if (same + 1 >= std::max(one.size(), other.size())) return "the choice of sequences";
  return absl::StrCat("row ", same / 2, ", ", same % 2 == 0 ? "logits" : "keys and values");
}

// What is found about one model.
struct Findings {
  int compared = 0;
  int differ = 0;
  std::string first;

  // The first trails of both, policy by policy.
  void Compare(const std::string& what, absl::Span<const BitsTrail> these, absl::Span<const BitsTrail> those) {
    for (size_t i = 0; i < std::min(these.size(), those.size()); ++i) {
      Count(FirstDifference(these[i], those[i]), absl::StrCat(what, ", policy ", i + 1));
    }
  }
  void Count(const std::string& difference, const std::string& what) {
    ++compared;
    if (difference.empty()) return;
    ++differ;
    if (first.empty()) first = absl::StrCat("; first ", what, ": ", difference);
  }
};

class Checker {
 public:
  Checker(const BitsOptions& options, Hashes expected) : options_(options), expected_(std::move(expected)) {}

  absl::Status CheckModel(int number, const TinyModelOptions& model) {
    const std::string bytes = MakeTinyModel(model);
    KEDGE_ASSIGN_OR_RETURN(
        const std::shared_ptr<const GgufFile> file,
        GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny"));
    Findings findings;
    for (const KvType kv_type : kKvTypes) {
      const std::string name = KvTypeName(kv_type);
      const std::vector<std::string>& wanted = options_.kv_types;
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
      KEDGE_RETURN_IF_ERROR(CheckKvType(absl::StrCat(number, " ", name), file, kv_type, &findings));
    }
    Report("bits",
           absl::StrCat(number, " ", model.architecture, " ", TensorTypeName(model.weight_type), ", ", model.heads, "/",
                        model.kv_heads, " heads of ", model.head_dim),
           findings.differ, "differ", absl::StrCat("of ", findings.compared, " comparisons", findings.first));
    all_same_ &= findings.differ == 0;
    return absl::OkStatus();
  }

  bool all_same() const { return all_same_; }
  const Hashes& hashes() const { return hashes_; }

 private:
  absl::Status CheckKvType(const std::string& key, const std::shared_ptr<const GgufFile>& file, KvType kv_type,
                           Findings* findings) {
    DeviceOptions options = options_.device;
    options.kv_type = kv_type;
    options.kv_bytes = 64 << 20;
    KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(file, options));
    const std::vector<Content> contents = GoldenContents(device->vocab_size());
    const auto trails_on = [&contents](StepDevice* on, uint32_t chunk) -> absl::StatusOr<std::vector<BitsTrail>> {
      std::vector<BitsTrail> trails;
      for (const Content& content : contents) {
        KEDGE_ASSIGN_OR_RETURN(std::vector<BitsTrail> trail, TrailsOfBits({content}, chunk, on));
        trails.push_back(std::move(trail[0]));
      }
      return trails;
    };
    KEDGE_ASSIGN_OR_RETURN(const std::vector<BitsTrail> alone, trails_on(device.get(), 1));
    for (const uint32_t chunk : {7u, 64u}) {
      KEDGE_ASSIGN_OR_RETURN(const std::vector<BitsTrail> cut, trails_on(device.get(), chunk));
      findings->Compare(absl::StrCat(key, ", ", chunk, " rows a step"), cut, alone);
    }
    KEDGE_ASSIGN_OR_RETURN(const std::vector<BitsTrail> company,
                           TrailsOfBits(InCompany(device->vocab_size()), 3, device.get()));
    findings->Compare(absl::StrCat(key, ", ", kCompany, " requests in a step"), company, alone);
    if (options_.beside) {
      options.backend = "cpu";
      options.device = 0;
      KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> cpu, MakeDevice(file, options));
      KEDGE_ASSIGN_OR_RETURN(const std::vector<BitsTrail> on_cpu, trails_on(cpu.get(), 64));
      findings->Compare(absl::StrCat(key, ", beside cpu"), alone, on_cpu);
    }
    hashes_[key] = LineOf(alone);
    if (!options_.expect.empty()) {
      const bool is_known = expected_.count(key) > 0;
      findings->Count(is_known && expected_[key] == hashes_[key] ? "" : is_known ? "another hash" : "none is there",
                      absl::StrCat(key, ", the file's hashes"));
    }
    return absl::OkStatus();
  }

  const BitsOptions& options_;
  Hashes expected_;
  Hashes hashes_;
  bool all_same_ = true;
};

}  // namespace

absl::StatusOr<bool> CheckBits(const BitsOptions& options) {
  Hashes expected;
  if (!options.expect.empty()) {
    KEDGE_ASSIGN_OR_RETURN(expected, ReadHashes(options.expect));
  }
  Checker checker(options, std::move(expected));
  const std::vector<TinyModelOptions> models = GoldenModels();
  for (int number = 1; number <= static_cast<int>(models.size()); ++number) {
    const std::vector<int>& wanted = options.models;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), number) == wanted.end()) continue;
    KEDGE_RETURN_IF_ERROR(checker.CheckModel(number, models[number - 1]));
  }
  if (!options.write.empty()) KEDGE_RETURN_IF_ERROR(WriteHashes(checker.hashes(), options.write));
  return checker.all_same();
}

}  // namespace kedge
