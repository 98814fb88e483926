// gRPC has no place where somebody could look at what it receives. But it calls recvmsg(2) and OpenSSL's SSL_read in
// other libraries, and a program's own functions of these names go before: they call the real ones, and look. Where
// gRPC is linked so that it does not find them, nothing is guarded, and nothing else changes; server_test.cc would
// fail.
//
// Tested by server_test.cc and tests/connections_test.py.
#include "common/rpc/header_guard.h"

#include <dlfcn.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/rpc/header_meter.h"
#include "common/rpc/open_connections.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

// Of a connection without TLS. Who receives from it is one thread at a time.
struct Guard {
  std::optional<ino_t> inode;
  HeaderMeter meter;
};

// By descriptor; more are never open (RaiseFileLimit). What stays when a connection has ended goes with the next one of
// this number.
std::array<std::atomic<Guard*>, 1 << 20> guards;

// Once in a while.
void Say() {
  static const RealClock* const clock = new RealClock();
  static std::atomic<int64_t> next = 0;
  const int64_t now = absl::ToUnixSeconds(clock->Now());
  int64_t due = next;
  if (now >= due && next.compare_exchange_strong(due, now + 10)) {
    spdlog::warn("ended a connection: its client sends headers of more than {} KiB", HeaderMeter::kMostBytes >> 10);
  }
}

// Whether the reader may have what was received.
bool IsFine(int file, const msghdr& message, size_t received) {
  if (file < 0 || static_cast<size_t>(file) >= guards.size()) return true;
  Guard* const guard = guards[static_cast<size_t>(file)].load(std::memory_order_acquire);  // as GuardHeaders made it
  if (guard == nullptr) return true;
  for (size_t i = 0; i < message.msg_iovlen && received > 0; ++i) {
    const size_t count = std::min(received, message.msg_iov[i].iov_len);
    received -= count;
    if (guard->meter.Add(message.msg_iov[i].iov_base, count)) continue;
    if (SocketInode(file) == guard->inode) return false;
    // Another connection has the number now, and this thread reads from it alone: the meter knows nothing of it.
    guards[static_cast<size_t>(file)].store(nullptr, std::memory_order_release);
    delete guard;
    return true;
  }
  return true;
}

// Of a connection with TLS: lives as long as it does.
HeaderMeter* MeterOf(SSL* ssl) {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr,
                                                [](void*, void* meter, CRYPTO_EX_DATA*, int, long, void*) {
                                                  delete static_cast<HeaderMeter*>(meter);
                                                });
  auto* meter = static_cast<HeaderMeter*>(SSL_get_ex_data(ssl, index));
  if (meter != nullptr) return meter;
  meter = new HeaderMeter();
  if (SSL_set_ex_data(ssl, index, meter) == 1) return meter;
  delete meter;
  return nullptr;
}

template <typename Function>
Function* Real(const char* name) {
  auto* const function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  KEDGE_CHECK(function != nullptr);
  return function;
}

}  // namespace

void GuardHeaders(int file) {
  if (static_cast<size_t>(file) >= guards.size()) return;
  auto guard = std::make_unique<Guard>();
  guard->inode = SocketInode(file);
  // The former connection of this number is closed, so that nobody uses its guard.
  delete guards[static_cast<size_t>(file)].exchange(guard.release(), std::memory_order_acq_rel);
}

}  // namespace kedge

extern "C" ssize_t recvmsg(int file, msghdr* message, int flags) {
  static auto* const real = kedge::Real<decltype(recvmsg)>("recvmsg");
  const ssize_t received = real(file, message, flags);
  if (received <= 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0) return received;
  if (kedge::IsFine(file, *message, static_cast<size_t>(received))) return received;
  kedge::Say();
  errno = ECONNRESET;
  return -1;
}

extern "C" int SSL_read(SSL* ssl, void* buffer, int size) {
  static auto* const real = kedge::Real<decltype(SSL_read)>("SSL_read");
  const int received = real(ssl, buffer, size);
  if (received <= 0 || !SSL_is_server(ssl)) return received;
  kedge::HeaderMeter* const meter = kedge::MeterOf(ssl);
  if (meter == nullptr || meter->Add(buffer, static_cast<size_t>(received))) return received;
  kedge::Say();
  return -1;
}
