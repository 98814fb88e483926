// spdlog reads an unknown level as "off", silently: the name is checked here.
//
// Tested by log_test.cc.
#include "common/rpc/log.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace kedge {

absl::Status InitLog(const std::string& name, const std::string& level) {
  static const auto* const levels = new std::map<std::string, spdlog::level::level_enum>{
      {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
      {"warn", spdlog::level::warn},   {"error", spdlog::level::err},   {"off", spdlog::level::off}};
  const auto found = levels->find(level);
  if (found == levels->end()) {
    return absl::InvalidArgumentError(absl::StrCat("--log-level: \"", level, "\" is none of ", kLogLevels));
  }
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(found->second);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %n: %v");
  logger->flush_on(spdlog::level::trace);  // a process that dies has said what it had to say
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

}  // namespace kedge
