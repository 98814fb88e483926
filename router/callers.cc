// Tested by router_test.cc and tests/door_test.py.
#include "router/callers.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::string_view kScheme = "Bearer ";

}  // namespace

absl::StatusOr<std::unique_ptr<Callers>> Callers::Make(const std::string& keys_file) {
  auto callers = std::unique_ptr<Callers>(new Callers());
  if (keys_file.empty()) return callers;
  KEDGE_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(keys_file));
  absl::StatusOr<TenantKeys> keys = TenantKeys::Parse(text);
  if (!keys.ok()) return OfField(keys_file, keys.status());
  callers->keys_ = std::make_shared<const TenantKeys>(*std::move(keys));
  callers->file_ = std::make_unique<const WatchedFile>(
      keys_file, text, kInterval,
      [callers = callers.get(), keys_file](const absl::StatusOr<std::string>& now) { callers->Take(keys_file, now); });
  return callers;
}

void Callers::Take(const std::string& path, const absl::StatusOr<std::string>& text) {
  absl::StatusOr<TenantKeys> keys = text.ok() ? TenantKeys::Parse(*text) : text.status();
  if (!keys.ok()) {
    spdlog::warn("the keys stay as they were: {}: {}", path, std::string(keys.status().message()));
    return;
  }
  spdlog::info("keys of tenants: {}", keys->size());
  auto taken = std::make_shared<const TenantKeys>(*std::move(keys));
  absl::MutexLock lock(&mutex_);
  keys_ = std::move(taken);
}

absl::StatusOr<Caller> Callers::Identify(const grpc::CallbackServerContext& context) const {
  std::shared_ptr<const TenantKeys> keys;
  {
    absl::MutexLock lock(&mutex_);
    keys = keys_;
  }
  if (keys == nullptr) return Caller{};
  const auto found = context.client_metadata().find("authorization");
  if (found == context.client_metadata().end()) {
    return absl::UnauthenticatedError("authorization: is missing; send `Bearer KEY` with a key of a tenant");
  }
  const absl::string_view value(found->second.data(), found->second.size());
  if (!absl::StartsWith(value, kScheme)) return absl::UnauthenticatedError("authorization: is not `Bearer KEY`");
  std::optional<std::string> tenant = keys->TenantOf(value.substr(kScheme.size()));
  if (!tenant.has_value()) return absl::UnauthenticatedError("authorization: the key is no tenant's");
  return Caller{*std::move(tenant)};
}

}  // namespace kedge
