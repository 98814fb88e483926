// gRPC has no place where somebody could look at what it receives. But it calls recvmsg(2) and OpenSSL's SSL_read in
// other libraries, and a program's own functions of these names go before: they call the real ones, and look. Where
// gRPC is linked so that it does not find them, nothing is guarded, and nothing else changes; server_test.cc would
// fail.
//
// Tested by server_test.cc and tests/connections_test.py.
#include "common/rpc/frame_guard.h"

#include <dlfcn.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/machine_limits.h"
#include "common/rpc/frame_meter.h"
#include "common/rpc/open_connections.h"
#include "common/rpc/unread_bytes.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

UnreadBytes& AllUnread() {
  static auto* const all =
      new UnreadBytes(std::clamp<uint64_t>(UsableMachine().memory_bytes / 64, 128 << 20, 256 << 20));
  return *all;
}

// One connection. Who receives from it is one thread at a time.
struct Guard {
  std::optional<ino_t> inode;  // of one without TLS
  FrameMeter meter;
  UnreadBytes::Share unread{&AllUnread()};
};

// By descriptor; more are never open (RaiseFileLimit). What stays when a connection has ended goes with the next one of
// this number.
std::array<std::atomic<Guard*>, 1 << 20> guards;
std::atomic<size_t> files = 0;  // of `guards`, those that were ever used are the first
absl::Mutex ending;             // held by whoever deletes one of them, or looks at those of others

// Connections that have ended have nothing any more, before anybody is judged by it. Nobody says when one ends, so the
// kernel is asked of each; who accepts one meanwhile waits for that, a millisecond for thousands.
void ForgetEnded() {
  absl::MutexLock lock(&ending);
  for (size_t file = 0; file < files; ++file) {
    Guard* const guard = guards[file].load(std::memory_order_acquire);
    if (guard != nullptr && SocketInode(static_cast<int>(file)) != guard->inode) guard->unread.Set(0);
  }
}

using Excess = FrameMeter::Excess;
constexpr char kEnded[] = "ended a connection: its client sends";

// What is wrong with the next bytes of a connection; kNone: the reader may have them.
Excess Follow(Guard* guard, const void* bytes, size_t size) {
  if (const Excess excess = guard->meter.Add(bytes, size); excess != Excess::kNone) return excess;
  guard->unread.Set(guard->meter.unread());
  if (!guard->unread.IsTooMuch()) return Excess::kNone;
  ForgetEnded();
  if (!guard->unread.IsTooMuch()) return Excess::kNone;
  guard->unread.Set(0);  // it is at its end
  return Excess::kUnread;
}

// What is wrong with what was received from a file.
Excess FollowFile(int file, const msghdr& message, size_t received) {
  if (file < 0 || static_cast<size_t>(file) >= guards.size()) return Excess::kNone;
  std::atomic<Guard*>& place = guards[static_cast<size_t>(file)];
  Guard* const guard = place.load(std::memory_order_acquire);  // as GuardFrames made it
  if (guard == nullptr) return Excess::kNone;
  for (size_t i = 0; i < message.msg_iovlen && received > 0; ++i) {
    const size_t count = std::min(received, message.msg_iov[i].iov_len);
    received -= count;
    const Excess excess = Follow(guard, message.msg_iov[i].iov_base, count);
    if (excess == Excess::kNone) continue;
    if (SocketInode(file) == guard->inode) return excess;
    // Another connection has the number now, and this thread reads from it alone: the meter knows nothing of it.
    absl::MutexLock lock(&ending);
    delete place.exchange(nullptr, std::memory_order_acq_rel);
    break;
  }
  return Excess::kNone;
}

// Once in a while.
void Say(Excess excess) {
  static const RealClock* const clock = new RealClock();
  static std::atomic<int64_t> next = 0;
  const int64_t now = absl::ToUnixSeconds(clock->Now());
  int64_t due = next;
  if (now < due || !next.compare_exchange_strong(due, now + 10)) return;
  switch (excess) {
    case Excess::kNone:
      break;
    case Excess::kHeaders:
      spdlog::warn("{} headers of more than {} KiB", kEnded, FrameMeter::kMostHeaderBytes >> 10);
      break;
    case Excess::kMessage:
      spdlog::warn("{} a message of more than {} MiB", kEnded, FrameMeter::kMostMessage >> 20);
      break;
    case Excess::kCalls:
      spdlog::warn("{} messages of more than {} calls at once", kEnded, FrameMeter::kMostBegun);
      break;
    case Excess::kUnread:
      spdlog::warn("{} too large a part of more than {} MiB of messages that are not complete", kEnded,
                   AllUnread().limit() >> 20);
      break;
  }
}

// Of a connection with TLS: lives as long as it does.
Guard* GuardOf(SSL* ssl) {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* guard, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Guard*>(guard); });
  auto* guard = static_cast<Guard*>(SSL_get_ex_data(ssl, index));
  if (guard != nullptr) return guard;
  guard = new Guard();
  if (SSL_set_ex_data(ssl, index, guard) == 1) return guard;
  delete guard;
  return nullptr;
}

template <typename Function>
Function* Real(const char* name) {
  auto* const function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  KEDGE_CHECK(function != nullptr);
  return function;
}

}  // namespace

void GuardFrames(int file) {
  if (static_cast<size_t>(file) >= guards.size()) return;
  auto guard = std::make_unique<Guard>();
  guard->inode = SocketInode(file);
  // The former connection of this number is closed, so that nobody uses its guard.
  absl::MutexLock lock(&ending);
  files = std::max<size_t>(files, static_cast<size_t>(file) + 1);
  delete guards[static_cast<size_t>(file)].exchange(guard.release(), std::memory_order_acq_rel);
}

}  // namespace kedge

extern "C" ssize_t recvmsg(int file, msghdr* message, int flags) {
  static auto* const real = kedge::Real<decltype(recvmsg)>("recvmsg");
  const ssize_t received = real(file, message, flags);
  if (received <= 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0) return received;
  const kedge::Excess excess = kedge::FollowFile(file, *message, static_cast<size_t>(received));
  if (excess == kedge::Excess::kNone) return received;
  kedge::Say(excess);
  errno = ECONNRESET;
  return -1;
}

extern "C" int SSL_read(SSL* ssl, void* buffer, int size) {
  static auto* const real = kedge::Real<decltype(SSL_read)>("SSL_read");
  const int received = real(ssl, buffer, size);
  if (received <= 0 || !SSL_is_server(ssl)) return received;
  kedge::Guard* const guard = kedge::GuardOf(ssl);
  if (guard == nullptr) return received;
  const kedge::Excess excess = kedge::Follow(guard, buffer, static_cast<size_t>(received));
  if (excess == kedge::Excess::kNone) return received;
  kedge::Say(excess);
  return -1;
}
