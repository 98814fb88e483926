#include "common/rpc/connection_acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// A server that keeps what it gets.
class Keeper {
 public:
  explicit Keeper(size_t max_connections) {
    auto sockets = ListenSockets::Open({"127.0.0.1", 0}, "127.0.0.1:0");
    EXPECT_TRUE(sockets.ok()) << sockets.status();
    port_ = sockets->port();
    acceptor_ = ConnectionAcceptor::Start(*std::move(sockets), max_connections, [this](int file) {
                  absl::MutexLock lock(&mutex_);
                  files_.push_back(file);
                }).value();
  }
  ~Keeper() {
    acceptor_->Stop();
    CloseAll();
  }

  void CloseAll() {
    absl::MutexLock lock(&mutex_);
    for (const int file : files_) close(file);
    files_.clear();
  }
  std::vector<int> files() {
    absl::MutexLock lock(&mutex_);
    return files_;
  }
  ConnectionAcceptor& acceptor() { return *acceptor_; }
  int port() const { return port_; }

 private:
  int port_ = 0;
  absl::Mutex mutex_;
  std::vector<int> files_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
};

int Connect(int port) {
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port)),
                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  EXPECT_EQ(connect(file, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return file;
}

// Whether the other side closes it within `timeout`.
bool IsClosed(int file, absl::Duration timeout = absl::Seconds(5)) {
  pollfd waiting{.fd = file, .events = POLLIN};
  return poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) == 1;
}

template <typename Condition>
bool Await(Condition condition) {
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!condition() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  return condition();
}

int Option(int file, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  getsockopt(file, level, name, &value, &length);
  return value;
}

TEST(ConnectionAcceptorTest, HandsOverWhatSendsAtOnceAndDoesNotBlock) {
  Keeper keeper(10);
  const int client = Connect(keeper.port());
  ASSERT_TRUE(Await([&] { return keeper.files().size() == 1; }));
  const int file = keeper.files()[0];
  EXPECT_EQ(Option(file, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(Option(file, IPPROTO_TCP, TCP_USER_TIMEOUT), 20000);
  EXPECT_TRUE(fcntl(file, F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(fcntl(file, F_GETFD) & FD_CLOEXEC);
  close(client);
}

TEST(ConnectionAcceptorTest, SendsAwayWhoIsTooManyAndNobodyElse) {
  Keeper keeper(3);
  std::vector<int> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(Connect(keeper.port()));
  ASSERT_TRUE(Await([&] { return keeper.files().size() == 3; }));
  for (int i = 0; i < 100; ++i) {
    const int refused = Connect(keeper.port());
    EXPECT_TRUE(IsClosed(refused));
    close(refused);
  }
  EXPECT_EQ(keeper.acceptor().refused(), 100u);
  EXPECT_EQ(keeper.acceptor().accepted(), 103u);
  for (const int client : clients) EXPECT_FALSE(IsClosed(client, absl::ZeroDuration()));
  keeper.CloseAll();
  absl::SleepFor(absl::Milliseconds(10));
  const int late = Connect(keeper.port());
  EXPECT_TRUE(Await([&] { return keeper.files().size() == 1; }));
  for (const int client : clients) close(client);
  close(late);
}

// As many clients as the limit in turn, many times: what has been closed counts no more.
TEST(ConnectionAcceptorTest, RoundsOfConnectionsLeaveNothing) {
  Keeper keeper(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(Connect(keeper.port()));
    ASSERT_TRUE(Await([&] { return keeper.files().size() == 4; })) << round;
    keeper.CloseAll();
    for (const int client : clients) close(client);
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(keeper.acceptor().refused(), 0u);
}

// CVE-2023-4785: gRPC's own listener accepts nobody after this.
TEST(ConnectionAcceptorTest, AcceptsAgainAfterDescriptorsHaveRunOut) {
  Keeper keeper(1 << 20);
  std::vector<int> clients;
  for (int i = 0; i < 8; ++i) {  // of the test itself: made while there are descriptors
    clients.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int highest = dup(clients.back());
  close(highest);
  // Two more may be open.
  const rlimit small{.rlim_cur = static_cast<rlim_t>(highest) + 2, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(keeper.port())),
                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  for (const int client : clients) {
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  EXPECT_TRUE(Await([&] { return keeper.acceptor().refused() == 6; })) << keeper.acceptor().refused();
  for (size_t i = 2; i < clients.size(); ++i) EXPECT_TRUE(IsClosed(clients[i]));
  EXPECT_TRUE(keeper.acceptor().Knock(absl::Seconds(5)).ok());  // with its spare descriptor
  keeper.CloseAll();
  close(clients.back());
  clients.back() = Connect(keeper.port());
  EXPECT_TRUE(Await([&] { return keeper.files().size() == 1; }));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const int client : clients) close(client);
}

TEST(ConnectionAcceptorTest, ADoorWithoutAnyDescriptorIsShut) {
  Keeper keeper(10);
  EXPECT_TRUE(keeper.acceptor().Knock(absl::Seconds(5)).ok());
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_FALSE(keeper.acceptor().Knock(absl::Milliseconds(100)).ok());
  EXPECT_FALSE(keeper.acceptor().Knock(absl::Milliseconds(100)).ok());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(keeper.acceptor().Knock(absl::Seconds(5)).ok());
  close(client);
}

TEST(ConnectionAcceptorTest, KeepsSomeFilesForTheProcess) {
  EXPECT_EQ(ConnectionsFor(20000), 18000u);
  EXPECT_EQ(ConnectionsFor(64), 16u);
  EXPECT_EQ(ConnectionsFor(20), 1u);
}

}  // namespace
}  // namespace kedge
