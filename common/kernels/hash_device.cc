// Memory starts as garbage and hashes chain through splitmix64, so that a row which was never written, or was written
// for somebody else, has no chance of looking right. Tested by hash_device_test.cc.
#include "common/kernels/hash_device.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/kernels/choose_token.h"

namespace kedge {
namespace {

// Steele et al., "Fast splittable pseudorandom number generators" (2014).
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t Combine(uint64_t hash, uint64_t value) { return Mix(hash ^ Mix(value)); }

}  // namespace

struct HashDevice::Results {
  std::vector<bool> bad_rows;
  std::vector<std::optional<uint32_t>> tokens;           // [outputs]
  std::vector<std::vector<float>> logits;                // [outputs]
  std::vector<std::vector<std::vector<uint32_t>>> mass;  // [row][head][range]
};

class HashDevice::Future : public StepFuture {
 public:
  // Null: of a copy.
  explicit Future(std::shared_ptr<const Results> results) : results_(std::move(results)) {}
  absl::Status Wait() override { return absl::OkStatus(); }
  bool Ready() const override { return true; }
  absl::Status CheckRows(size_t first, size_t count) const override {
    const auto begin = results_->bad_rows.begin() + first;
    const auto bad = std::find(begin, begin + count, true);
    if (bad == begin + count) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("row ", bad - results_->bad_rows.begin(), " is no number"));
  }
  std::optional<uint32_t> Token(size_t i) const override { return results_->tokens[i]; }
  absl::Span<const float> Logits(size_t i) const override { return results_->logits[i]; }
  absl::Span<const uint32_t> Mass(size_t i, size_t h) const override { return results_->mass[i][h]; }

 private:
  const std::shared_ptr<const Results> results_;
};

HashDevice::HashDevice(const HashDeviceOptions& options)
    : options_(options), memory_(uint64_t{options.num_pages} * kPageRows * kCopies) {
  for (size_t i = 0; i < memory_.size(); ++i) memory_[i] = Mix(i);
}

uint64_t HashDevice::ReadRow(const RowRef& ref) {
  const uint64_t* copies = Row(ref);
  for (int i = 1; i < kCopies; ++i) {
    if (copies[i] != copies[0]) {
      ++torn_rows_;
      return Combine(copies[0], copies[i]);
    }
  }
  return copies[0];
}

void HashDevice::WriteRow(const RowRef& ref, uint64_t hash) {
  for (int i = 0; i < kCopies; ++i) Row(ref)[i] = hash;
}

std::unique_ptr<StepFuture> HashDevice::Launch(StepPlan plan) {
  KEDGE_CHECK(plan.rows.size() <= options_.max_rows);
  auto results = std::make_shared<Results>();
  for (const PlanRow& row : plan.rows) {
    const uint32_t token =
        row.chosen_before < 0 ? row.token : last_->tokens.at(row.chosen_before).value_or(options_.vocab_size - 1);
    rows_ahead_ += row.chosen_before >= 0;
    results->bad_rows.push_back(options_.bad_token == token);
    const PageTables& tables = plan.tables[row.tables];
    auto recent = [&](uint32_t position) {
      return RowRef{tables.recent.at(position / kPageRows - tables.first_recent_page), position % kPageRows};
    };
    auto kept = [&](uint32_t index) { return RowRef{tables.kept.at(index / kPageRows), index % kPageRows}; };

    uint64_t hash = Combine(options_.model_seed, token);
    hash = Combine(hash, row.position);
    if (!options_.roles_agree) hash = Combine(hash, static_cast<uint64_t>(row.role));
    for (uint32_t k = 0; k < row.kept_end; ++k) hash = Combine(hash, ReadRow(kept(k)));
    for (uint32_t p = row.recent_begin; p < row.position; ++p) hash = Combine(hash, ReadRow(recent(p)));
    WriteRow(recent(row.position), hash);
    if (row.kept_index >= 0) WriteRow(kept(row.kept_index), hash);
    if (row.wants_mass) {
      auto& heads = results->mass.emplace_back();
      const absl::Span<const uint32_t> ends = MassEnds(plan, row);
      for (const HeadRef& head : plan.mass_heads) {
        std::vector<uint32_t>& mass = heads.emplace_back(ends.size());
        const uint64_t query = Combine(hash, uint64_t{head.layer} << 32 | head.head);
        size_t range = 0;
        for (uint32_t p = row.recent_begin; p <= row.position; ++p) {
          while (range < ends.size() && ends[range] <= p) ++range;
          if (range == ends.size()) break;
          mass[range] += static_cast<uint32_t>(Combine(query, ReadRow(recent(p))) >> 44);
        }
      }
    }
    if (row.has_output()) {
      std::vector<float>& logits = results->logits.emplace_back(options_.vocab_size);
      for (uint32_t id = 0; id < options_.vocab_size; ++id) {
        logits[id] = static_cast<float>(Combine(hash, id) >> 40) * 0x1p-21f;  // [0, 8)
      }
      const bool chooses = row.choice >= 0 && (options_.undecided == 0 || ++choices_ % options_.undecided != 0);
      results->tokens.push_back(chooses ? std::optional(ChooseToken(logits, plan.choices.at(row.choice)))
                                        : std::nullopt);
    }
  }
  last_ = results;
  return std::make_unique<Future>(std::move(results));
}

std::unique_ptr<StepFuture> HashDevice::ReadRows(std::vector<RowRef> rows, RowBuffer out) {
  KEDGE_CHECK(out.bytes.size() == rows.size() * shape_.row_bytes());
  for (int copy = 0; copy < kCopies; ++copy) {
    for (size_t r = 0; r < rows.size(); ++r) {
      std::memcpy(&out.bytes[(copy * rows.size() + r) * sizeof(uint64_t)], &Row(rows[r])[copy], sizeof(uint64_t));
    }
  }
  return std::make_unique<Future>(nullptr);
}

void HashDevice::WriteRows(std::vector<RowRef> rows, Payload in) {
  KEDGE_CHECK(in.bytes.size() == rows.size() * shape_.row_bytes());
  for (int copy = 0; copy < kCopies; ++copy) {
    for (size_t r = 0; r < rows.size(); ++r) {
      if (rows[r].page == kNoPage) continue;
      std::memcpy(&Row(rows[r])[copy], &in.bytes[(copy * rows.size() + r) * sizeof(uint64_t)], sizeof(uint64_t));
    }
  }
}

void HashDevice::CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) {
  const RowBuffer rows = NewRowBuffer(from.size() * shape_.row_bytes());
  HashDevice::ReadRows(std::move(from), rows);
  HashDevice::WriteRows(std::move(to), rows.Share());
}

}  // namespace kedge
