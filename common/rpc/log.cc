// spdlog reads an unknown level as "off", silently: the name is checked here. Libraries that would write to stderr by
// themselves, and wait for whoever reads it, write here as well: peers can make them do so.
//
// Tested by log_test.cc.
#include "common/rpc/log.h"

#include <grpc/support/log.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/utf8.h"
#include "common/rpc/line_writer.h"
#include "google/protobuf/stubs/logging.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/base_sink.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr char kLogPattern[] = "%Y-%m-%dT%H:%M:%S.%e %L %n: %v";
constexpr absl::Duration kFlush = absl::Seconds(1);
constexpr size_t kMaxText = LineWriter::kMaxLine - 256;  // of a message; the rest is time, level and name

// One line an event, whatever stands in it.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LineSink(const std::string& name)
      : name_(name.substr(0, 64)), writer_(STDERR_FILENO, [this](uint64_t count) { return Dropped(count); }) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string text =
        PrintableLine(absl::string_view(message.payload.data(), message.payload.size()), kMaxText);
    writer_.Add(Format(*formatter_, message, text));
  }
  void flush_() override { writer_.Flush(kFlush); }

  static std::string Format(spdlog::formatter& formatter, spdlog::details::log_msg message, const std::string& text) {
    message.payload = text;
    spdlog::memory_buf_t line;
    formatter.format(message, line);
    return std::string(line.data(), line.size());
  }

  // Not with formatter_, which is the lock's.
  std::string Dropped(uint64_t count) const {
    spdlog::pattern_formatter formatter(kLogPattern);
    return Format(formatter, spdlog::details::log_msg(name_, spdlog::level::warn, ""),
                  absl::StrCat(count, " lines of this log are lost: nobody had read what came before"));
  }

  const std::string name_;
  LineWriter writer_;
};

// The logger of this process. Libraries have threads that outlive spdlog's own registry, so it is never destroyed; the
// end of the process waits a while for what it has still to write.
std::atomic<spdlog::logger*> the_log = nullptr;

void LogProtobuf(google::protobuf::LogLevel level, const char*, int, const std::string& message) {
  the_log.load()->log(level == google::protobuf::LOGLEVEL_FATAL ? spdlog::level::err : spdlog::level::debug,
                      "protobuf: {}", message);
}

void LogGrpc(gpr_log_func_args* args) {
  the_log.load()->log(args->severity == GPR_LOG_SEVERITY_ERROR ? spdlog::level::warn : spdlog::level::debug,
                      "gRPC: {}", args->message);
}

}  // namespace

absl::Status InitLog(const std::string& name, const std::string& level) {
  static const auto* const levels = new std::map<std::string, spdlog::level::level_enum>{
      {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
      {"warn", spdlog::level::warn},   {"error", spdlog::level::err},   {"off", spdlog::level::off}};
  const auto found = levels->find(level);
  if (found == levels->end()) {
    return absl::InvalidArgumentError(absl::StrCat("--log-level: \"", level, "\" is none of ", kLogLevels));
  }
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<LineSink>(name));
  logger->set_level(found->second);
  logger->set_pattern(kLogPattern);
  const bool is_first = the_log.exchange((new std::shared_ptr<spdlog::logger>(logger))->get()) == nullptr;
  if (is_first) std::atexit([] { the_log.load()->flush(); });
  spdlog::set_default_logger(std::move(logger));
  google::protobuf::SetLogHandler(&LogProtobuf);
  gpr_set_log_function(&LogGrpc);
  return absl::OkStatus();
}

}  // namespace kedge
