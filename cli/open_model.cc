// Tested by open_model_test.cc.
#include "cli/open_model.h"

#include "cli/model_fetch.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/model/config.h"

namespace kedge {

absl::StatusOr<ModelFiles> OpenModel(const std::string& model, const std::string& adapter,
                                     const std::function<bool()>& cancelled) {
  const absl::StatusOr<std::string> path = FindModel(model, cancelled);
  if (absl::IsNotFound(path.status())) return OfField("--model", path.status());
  KEDGE_RETURN_IF_ERROR(path.status());  // of fetching it: the flag is a way out, and not what is wrong
  absl::StatusOr<ModelFiles> base = ModelFiles::Open(*path, "");
  if (!base.ok()) return OfField("--model", base.status());
  KEDGE_RETURN_IF_ERROR(OfField("--model", LoadConfig(*base->base).status()));
  if (adapter.empty()) return base;
  absl::StatusOr<ModelFiles> both = ModelFiles::Open(*path, adapter);
  if (!both.ok()) return OfField("--adapter", both.status());
  return both;
}

}  // namespace kedge
