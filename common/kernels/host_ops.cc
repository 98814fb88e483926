#include "common/kernels/host_ops.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/kernels/finite.h"

namespace kedge {
namespace {

class Done final : public Pending {
 public:
  bool Ready() override { return true; }
  absl::Status Wait() override { return absl::OkStatus(); }
};

class DoneStep final : public PendingStep {
 public:
  explicit DoneStep(std::shared_ptr<const HostResults> results) : results_(std::move(results)) {}
  bool Ready() override { return true; }
  absl::Status Wait() override { return absl::OkStatus(); }
  const StepOutcome& outcome() const override { return results_->outcome; }

 private:
  const std::shared_ptr<const HostResults> results_;
};

const HostStep& Cast(const StepView& step) { return static_cast<const HostStep&>(step); }

}  // namespace

HostStep::HostStep(const StepPlan& plan, std::vector<uint32_t> tokens, std::shared_ptr<HostResults> results)
    : plan(plan), tokens(std::move(tokens)), results(std::move(results)) {
  size_t used = 0;  // of mass
  for (uint32_t r = 0; r < plan.rows.size(); ++r) {
    const PlanRow& row = plan.rows[r];
    positions.push_back(row.position);
    if (row.has_output()) wanting.push_back(r);
    if (row.wants_mass) used += plan.mass_heads.size();
  }
  HostResults& out = *this->results;
  out.outcome.outputs.assign(wanting.size(), {});
  out.outcome.faults.clear();
  out.outcome.mass.assign(used, {});
  if (out.logits.size() < wanting.size()) out.logits.resize(wanting.size());
  if (out.mass.size() < used) out.mass.resize(used);
  used = 0;
  for (uint32_t r = 0; r < plan.rows.size(); ++r) {
    if (!plan.rows[r].wants_mass) continue;
    for (const HeadRef& head : plan.mass_heads) {
      std::vector<uint32_t>& sums = out.mass[used];
      sums.resize(MassEnds(plan, plan.rows[r]).size());
      out.outcome.mass[used++] = sums;
      if (mass.size() <= head.layer) mass.resize(head.layer + 1);
      mass[head.layer].push_back({.row = r, .head = head.head, .mass = absl::MakeSpan(sums)});
    }
  }
}

std::unique_ptr<StepView> HostOps::Begin(const StepPlan& plan) {
  std::vector<uint32_t> tokens;
  for (const PlanRow& row : plan.rows) {
    tokens.push_back(row.chosen_before < 0 ? row.token
                                           : results_->outcome.outputs[row.chosen_before].token.value_or(0));
  }
  if (results_ == nullptr || results_.use_count() > 1) results_ = std::make_shared<HostResults>();
  return std::make_unique<HostStep>(plan, std::move(tokens), results_);
}

std::unique_ptr<PendingStep> HostOps::Finish(std::unique_ptr<StepView> step) {
  return std::make_unique<DoneStep>(Cast(*step).results);
}

void HostOps::AddNorm(int rows, const Activations* y, Activations& x, const WeightVector& weight, float epsilon,
                      Activations& out) {
  if (y != nullptr) Add(rows, *y, x);
  RmsNorm(rows, x, weight, epsilon, out);
}

void HostOps::MatMul(int rows, const Activations& x, absl::Span<const Product> products) {
  Multiply(rows, x, products);
  for (const Product& product : products) {
    if (product.bias != nullptr) AddVector(rows, *product.bias, *product.out);
  }
}

void HostOps::RopeAndWriteKv(const StepView& step, int layer, int heads, int kv_heads, const Rotation& rotation,
                             Activations& queries, Activations& keys, const WeightVector* key_shift,
                             const Activations& values, PageMemory& pages) {
  Rope(step, heads, rotation, queries);
  Rope(step, kv_heads, rotation, keys);
  if (key_shift != nullptr) AddVector(Cast(step).rows(), *key_shift, keys);
  WriteKv(step, layer, keys, values, pages);
}

void HostOps::AttentionMass(const StepView& step, int layer, int heads, const Activations& queries,
                            const PageMemory& pages) {
  const auto& wanted = Cast(step).mass;
  if (static_cast<size_t>(layer) < wanted.size()) GiveMass(step, layer, heads, wanted[layer], queries, pages);
}

void HostOps::GateUp(int rows, const Activations& x, const WeightMatrix& gate_weights, const WeightMatrix& up_weights,
                     Activations& gate, Activations& up) {
  Multiply(rows, x, {{&gate_weights, &gate}, {&up_weights, &up}});
  SwiGlu(rows, up, gate);
}

void HostOps::TakeOutputs(const StepView& step, size_t first, int rows, const Activations& logits) {
  const HostStep& host = Cast(step);
  std::vector<StepOutcome::Output>& outputs = host.results->outcome.outputs;
  std::vector<TokenQuery> queries;
  for (int i = 0; i < rows; ++i) {
    const int32_t choice = host.plan.rows[host.wanting[first + i]].choice;
    if (choice >= 0) {
      queries.push_back({.row = static_cast<uint32_t>(i), .choice = host.plan.choices[choice]});
      continue;
    }
    std::vector<float>& row = host.results->logits[first + i];
    row.resize(ColumnsOf(logits));
    CopyToHost(i, 1, logits, absl::MakeSpan(row));
    outputs[first + i] = {.is_finite = AllFinite(row.data(), row.size()), .logits = row};
  }
  if (queries.empty()) return;
  ChooseTokens(logits, absl::MakeSpan(queries));
  for (const TokenQuery& query : queries) {
    outputs[first + query.row] = {.token = query.token, .is_finite = query.is_finite};
  }
}

std::unique_ptr<Pending> HostOps::ReadRows(const PageMemory& pages, std::vector<RowRef> rows, RowBuffer out) {
  LoadRows(pages, rows, out.bytes);
  return std::make_unique<Done>();
}

void HostOps::WriteRows(PageMemory& pages, std::vector<RowRef> rows, Payload in) { StoreRows(pages, rows, in.bytes); }

}  // namespace kedge
