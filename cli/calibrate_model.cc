// Tested by tests/calibrate_test.py; the finding by the tests of eval/.
#include "cli/calibrate_model.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/console.h"
#include "cli/progress.h"
#include "common/base/status.h"
#include "common/model/config.h"
#include "common/node/load_model.h"
#include "common/node/salience_store.h"
#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/policy_names.h"
#include "common/tokenizer/tokenizer.h"
#include "eval/calibrate.h"
#include "eval/calibration_prompts.h"
#include "eval/held_out.h"
#include "eval/prompt_text.h"

namespace kedge {
namespace {

constexpr char kPolicy[] = "salient";  // its sequences are what heads are judged by

absl::StatusOr<std::vector<CalibrationText>> MakeTexts(const ModelFiles& files, const ModelConfig& config) {
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const PolicyNames names, FindPolicyNames(*files.base, *tokenizer, files.adapter_policy()));
  CalibrationOptions options{.context_length = static_cast<uint32_t>(config.context_length)};
  KEDGE_ASSIGN_OR_RETURN(options.policy, ParsePolicy(kPolicy, names));
  const absl::StatusOr<std::unique_ptr<const ChatTemplate>> chat = ChatTemplate::Load(*files.base, tokenizer.get());
  return MakeCalibrationTexts(options, FillerOf(CalibrationDocuments()), *tokenizer, chat.ok() ? chat->get() : nullptr);
}

// For the longest prompt alone.
absl::StatusOr<std::unique_ptr<StepDevice>> DeviceFor(absl::Span<const CalibrationText> texts, const ModelFiles& files,
                                                      const ModelConfig& config, int threads) {
  size_t rows = 0;
  for (const CalibrationText& text : texts) {
    for (const CalibrationPrompt& prompt : text.prompts) rows = std::max(rows, prompt.ids.size());
  }
  constexpr uint32_t kStepRows = 256;
  DeviceOptions options{.threads = threads, .max_rows = kStepRows};
  // Pages of two ends, not filled.
  options.kv_bytes = (rows + kStepRows) * 2 * config.row_shape(options.kv_type).page_row_bytes();
  return MakeDevice(files, options);
}

}  // namespace

absl::StatusOr<CalibratedModel> CalibrateModel(const ModelFiles& files, int threads,
                                               const std::function<bool()>& cancelled) {
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(files));
  KEDGE_ASSIGN_OR_RETURN(const std::vector<CalibrationText> texts, MakeTexts(files, config));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, DeviceFor(texts, files, config, threads));
  CalibratedModel model;
  for (const CalibrationText& text : texts) model.prompts += text.prompts.size();
  Progress progress;
  const CalibrationHooks hooks{.cancelled = cancelled, .progress = [&](uint64_t done, uint64_t all) {
                                 progress.Show(done, all, "where the heads look");
                               }};
  KEDGE_ASSIGN_OR_RETURN(model.ranking, Calibrate(texts, AllHeads(config), hooks, device.get()));
  model.heads = BestHeads(model.ranking);
  if (model.heads.empty()) return absl::FailedPreconditionError("calibration: no head of this model looks at answers");
  model.stored = StoreSalienceHeads(model.heads, fingerprint);
  return model;
}

absl::StatusOr<std::string> CalibrateAtNeed(const ModelFiles& files, const Policy& policy, int threads,
                                            const std::function<bool()>& cancelled) {
  if (policy.salient_millionths == 0) return "";
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const FoundHeads found, FindSalienceHeads(files, config));
  if (found.calibrated) return "";
  Say("calibrating this model, once: the policy chooses by its salience heads, and they are not known yet");
  const absl::StatusOr<CalibratedModel> model = CalibrateModel(files, threads, cancelled);
  if (absl::IsCancelled(model.status())) return model.status();
  if (!model.ok()) {
    Say(absl::StrCat("all heads of this model choose, since calibration failed: ", model.status().message()));
    return "";
  }
  const std::string heads = SalienceHeadsText(model->heads);
  if (model->stored.ok()) {
    Say(absl::StrCat("salience heads: ", heads, ", stored in ", *model->stored));
    return "";
  }
  Say(absl::StrCat("salience heads: ", heads, ", for this time alone: ", model->stored.status().message()));
  return heads;
}

}  // namespace kedge
