// The programs are shell scripts here: what they write and how they end is chosen by each test.
#include "cli/cluster.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/node/load_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

bool Never() { return false; }

absl::StatusOr<ClusterView> AllReady(const RouterAddresses&) {
  return ClusterView{.serving = true, .ready_nodes = {"prefill-0", "prefill-1", "decode-0", "decode-1"}};
}

// A socket that listens on a port of its own choice, as a stranger would.
class Stranger {
 public:
  Stranger() {
    file_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    bind(file_, reinterpret_cast<sockaddr*>(&address), length);
    listen(file_, 1);
    getsockname(file_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~Stranger() { close(file_); }
  int port() const { return port_; }

 private:
  int file_;
  int port_;
};

class ClusterTest : public testing::Test {
 protected:
  ClusterTest() {
    root_ = testing::TempDir() + "/cluster test " + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_ + "/bin");
    // $2 is the address to listen on, port 0 becomes 4711; $4 the file to tell it to, and that 4712 is for nodes.
    Script("kedge-router", R"sh(echo "$@" > "$ROOT/router.args"
echo "$(echo "$2" | sed 's/:0$/:4711/') 127.0.0.1:4712" > /proc/self/fd/$4; exec sleep 60)sh");
    Script("kedge-prefill", R"(echo "$@" > "$ROOT/$6.args"; exec sleep 60)");
    Script("kedge-decode", R"(echo "$@" > "$ROOT/$6.args"; exec sleep 60)");
    setenv("ROOT", root_.c_str(), 1);
    options_.program_directory = root_ + "/bin";
    options_.logs = std::make_shared<LogDirectory>(*LogDirectory::Make(root_ + "/logs", absl::Now()));
    options_.model = "/models/tiny model.gguf";
    options_.start_timeout = absl::Seconds(20);
  }

  void Script(const std::string& name, const std::string& body) {
    std::string path = root_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    chmod(path.c_str(), 0755);
  }
  std::string Arguments(const std::string& name) {
    std::ostringstream content;
    for (int i = 0; i < 500 && content.str().empty(); ++i) {  // the script may not have written yet
      content << std::ifstream(absl::StrCat(root_, "/", name, ".args")).rdbuf();
      if (content.str().empty()) absl::SleepFor(absl::Milliseconds(10));
      content.clear();
    }
    return content.str();
  }
  // Processes of this test that live: their command lines have root_.
  int Living() {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ostringstream content;
      content << std::ifstream(entry.path() / "environ").rdbuf();
      std::ostringstream name;
      name << std::ifstream(entry.path() / "comm").rdbuf();
      if (absl::StrContains(content.str(), "ROOT=" + root_) && name.str() == "sleep\n") ++count;
    }
    return count;
  }

  static std::vector<Cluster::Ended> WaitForEnded(Cluster& cluster) {
    std::vector<Cluster::Ended> ended;
    for (int i = 0; i < 500 && ended.empty(); ++i) {
      absl::SleepFor(absl::Milliseconds(10));
      ended = cluster.Poll();
    }
    return ended;
  }

  std::string root_;
  ClusterOptions options_;
};

TEST_F(ClusterTest, StartsExactlyWhatAUserWouldStartByHand) {
  options_.num_prefill = 2;
  options_.adapter = "/models/tiny adapter.gguf";
  options_.policy = "window,recent=64";
  options_.chat_template = "/models/my template.jinja";
  options_.kv_type = "f32";
  options_.threads = 3;
  options_.kv_memory_mib = 96;
  options_.cache_memory_mib = 0;
  options_.held_memory_mib = 7;
  options_.salience_heads = "retrieval=0.1";
  options_.drain = absl::Milliseconds(2500);
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->address(), "127.0.0.1:4711");
  EXPECT_THAT(Arguments("router"), MatchesRegex("--listen 127.0.0.1:0 --announce-fd [0-9]+ "
                                                "--cluster-listen 127.0.0.1:0 --drain-timeout 2.5 "
                                                "--chat-template /models/my template.jinja "
                                                "--model /models/tiny model.gguf --adapter /models/tiny adapter.gguf "
                                                "--policy window,recent=64 --die-with-parent\n"));
  for (const char* name : {"prefill-0", "prefill-1", "decode-0"}) {
    EXPECT_EQ(Arguments(name), absl::StrCat("--listen 127.0.0.1:0 --router 127.0.0.1:4712 --node-id ", name,
                                            " --threads 3 --kv-memory 96 --cache-memory 0 ",
                                            name == std::string("decode-0") ? "--held-memory 7 " : "", "--kv-type f32 "
                                            "--salience-heads retrieval=0.1 "
                                            "--model /models/tiny model.gguf --adapter /models/tiny adapter.gguf "
                                            "--policy window,recent=64 --die-with-parent\n"));
  }
  EXPECT_FALSE(fs::exists(root_ + "/decode-1.args"));
}

TEST_F(ClusterTest, EachNodeComputesOnItsOwnGpu) {
  options_.num_prefill = 2;
  options_.num_decode = 2;
  options_.backend = "cuda";
  options_.devices = {3, 0, 5, 1};
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_THAT(Arguments("prefill-0"), HasSubstr(" --backend cuda --device 3 "));
  EXPECT_THAT(Arguments("prefill-1"), HasSubstr(" --backend cuda --device 0 "));
  EXPECT_THAT(Arguments("decode-0"), HasSubstr(" --backend cuda --device 5 "));
  EXPECT_THAT(Arguments("decode-1"), HasSubstr(" --backend cuda --device 1 "));
}

TEST_F(ClusterTest, NodesShareTheMemoryWhereNobodySaid) {
  options_.num_prefill = 2;
  options_.num_decode = 2;
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const std::string flag = absl::StrCat("--kv-memory ", DefaultKvMemoryMib(DefaultKvBytes(), 4), " ");
  for (const char* name : {"prefill-0", "prefill-1", "decode-0", "decode-1"}) {
    EXPECT_THAT(Arguments(name), AllOf(HasSubstr(flag), Not(HasSubstr("--cache-memory"))));
  }
}

TEST_F(ClusterTest, WaitsUntilTheRouterServesAndEachNodeIsReady) {
  int calls = 0;
  auto probe = [&](const RouterAddresses& addresses) -> absl::StatusOr<ClusterView> {
    EXPECT_EQ(addresses.clients, "127.0.0.1:4711");
    EXPECT_EQ(addresses.cluster, "127.0.0.1:4712");
    switch (++calls) {
      case 1:
        return absl::UnavailableError("not yet");
      case 2:
        return ClusterView{.serving = true, .ready_nodes = {"prefill-0"}};
      case 3:
        return ClusterView{.serving = false, .ready_nodes = {"prefill-0", "decode-0"}};
      default:
        return ClusterView{.serving = true, .ready_nodes = {"prefill-0", "decode-0", "other"}};
    }
  };
  ASSERT_TRUE(Cluster::Start(options_, probe, Never).ok());
  EXPECT_EQ(calls, 4);
}

TEST_F(ClusterTest, WithoutDecodeNodesTheRouterNeedOnlyAnswer) {
  options_.num_prefill = 0;
  options_.num_decode = 0;
  int calls = 0;
  auto probe = [&](const RouterAddresses&) -> absl::StatusOr<ClusterView> {
    if (++calls < 3) return absl::UnavailableError("not yet");
    return ClusterView{.serving = false};
  };
  const auto cluster = Cluster::Start(options_, probe, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(calls, 3);
  EXPECT_GT(*cluster->RouterCpuTime(), absl::ZeroDuration());
}

TEST_F(ClusterTest, SaysWhichProcessItWaitsForAndWhereItsLogIs) {
  // What Start says until it gives up.
  const auto said_of = [&](const ClusterProbe& probe) {
    options_.notice_interval = absl::Milliseconds(100);
    options_.start_timeout = absl::Milliseconds(700);
    testing::internal::CaptureStderr();
    const absl::Status status = Cluster::Start(options_, probe, Never).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr(absl::StrReplaceAll(status.message(), {{"still waiting", "waiting"}})));
    return said;
  };
  const std::string logs = options_.logs->path();
  EXPECT_THAT(said_of([](const RouterAddresses&) {
                return ClusterView{.serving = true, .ready_nodes = {"prefill-0"}};
              }),
              HasSubstr("kedge: waiting for decode-0 (1 not ready); log: " + logs + "/decode-0.log\n"));
  EXPECT_THAT(said_of([](const RouterAddresses&) { return absl::UnavailableError("Too many open files"); }),
              HasSubstr("waiting for the router, which does not answer (Too many open files); log: " + logs));
  EXPECT_THAT(said_of([](const RouterAddresses&) {
                return ClusterView{.ready_nodes = {"prefill-0", "decode-0"}};
              }),
              HasSubstr("waiting for the router, which does not serve yet; log: " + logs + "/router.log\n"));
  Script("kedge-router", "echo reading a pipe; exec sleep 60");  // never announces itself
  EXPECT_THAT(said_of(AllReady),
              HasSubstr("waiting for the router, which does not listen yet; log: " + logs + "/router.log\n"));
  options_.logs = nullptr;
  EXPECT_THAT(said_of(AllReady), HasSubstr("does not listen yet; it said:\nreading a pipe\n"));
}

TEST_F(ClusterTest, ShowsTheEndOfTheLogOfANodeThatFails) {
  Script("kedge-decode", "for i in $(seq 30); do echo line $i; done; echo kv-type: no such type >&2; exit 1");
  auto never_ready = [](const RouterAddresses&) { return ClusterView(); };
  absl::Status status = Cluster::Start(options_, never_ready, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("decode-0 ended with exit code 1"), HasSubstr("decode-0.log"), HasSubstr("line 12\n"),
                    Not(HasSubstr("line 11\n")), HasSubstr("kv-type: no such type")));
  EXPECT_EQ(Living(), 0);
}

TEST_F(ClusterTest, ARouterThatFailsForAnotherReasonIsShownToo) {
  Script("kedge-router", "echo cannot open the model >&2; exit 1");
  options_.port = Stranger().port();  // free again
  options_.next_free_port = true;
  absl::Status status = Cluster::Start(options_, AllReady, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot open the model"));
}

TEST_F(ClusterTest, APortThatWasAskedForMustBeFree) {
  Stranger stranger;
  options_.port = stranger.port();
  absl::Status status = Cluster::Start(options_, AllReady, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("port ", stranger.port())));
}

TEST_F(ClusterTest, OtherwiseTheNextFreePortWillDo) {
  Stranger stranger;
  options_.port = stranger.port();
  options_.next_free_port = true;
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  int port = std::stoi(cluster->address().substr(cluster->address().rfind(':') + 1));
  EXPECT_GT(port, stranger.port());
}

TEST_F(ClusterTest, APortLostInARaceIsGivenUp) {
  // The first router finds the port taken although it looked free to us.
  Script("kedge-router", R"(if [ ! -e "$ROOT/raced" ]; then touch "$ROOT/raced"
echo "error: cannot listen on $2: the port is taken" >&2; exit 1; fi
echo "$2" > /proc/self/fd/$4; exec sleep 60)");
  options_.port = Stranger().port();
  options_.next_free_port = true;
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_NE(cluster->address(), absl::StrCat("127.0.0.1:", options_.port));
}

TEST_F(ClusterTest, AFullDiskTakesTheLogsAlone) {
  // What the processes say goes nowhere, and is shown all the same.
  fs::create_symlink("/dev/full", options_.logs->path() + "/router.log");
  fs::create_symlink("/dev/full", options_.logs->path() + "/decode-0.log");
  Script("kedge-decode", "echo kv-type: no such type >&2; sleep 0.5; exit 1");
  auto never_ready = [](const RouterAddresses&) { return ClusterView(); };
  const absl::Time start = absl::Now();
  absl::Status status = Cluster::Start(options_, never_ready, Never).status();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("kv-type: no such type"));
}

TEST_F(ClusterTest, NeedsNoLogs) {
  options_.logs = nullptr;
  Script("kedge-decode", R"(echo some last words >&2; while [ ! -e "$ROOT/die" ]; do sleep 0.05; done; exit 7)");
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  std::ofstream(root_ + "/die") << "";
  const std::vector<Cluster::Ended> ended = WaitForEnded(*cluster);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].ToString(), "decode-0 ended with exit code 7; it said:\nsome last words\n");
}

TEST_F(ClusterTest, AnIpv6HostKeepsItsBrackets) {
  for (const auto& [host, address] : {std::pair{"::1", "[::1]:4711"},
                                      {"[::1]", "[::1]:4711"},
                                      {"::", "[::]:4711"},
                                      {"0:0:0:0:0:0:0:0", "[0:0:0:0:0:0:0:0]:4711"}}) {
    options_.host = host;
    auto cluster = Cluster::Start(options_, AllReady, Never);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    EXPECT_EQ(cluster->address(), address);
    EXPECT_EQ(cluster->LocalAddress(), "[::1]:4711");
  }
}

TEST_F(ClusterTest, AHostThatClientsDoNotUnderstandIsRefused) {
  options_.host = "127.1";
  const absl::Status status = Cluster::Start(options_, AllReady, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--host: \"127.1\" is not a host"));
}

TEST_F(ClusterTest, NodesStayUntilTheRouterHasLetItsAnswersEnd) {
  // The router needs half a second after SIGTERM; a node that ends before it would have cut an answer.
  Script("kedge-router", R"sh(trap 'sleep 0.5; ls "$ROOT" > "$ROOT/seen"; exit 0' TERM
echo "127.0.0.1:4711 127.0.0.1:4712" > /proc/self/fd/$4; while :; do sleep 0.05; done)sh");
  Script("kedge-decode", R"(trap 'touch "$ROOT/node-left"; exit 0' TERM; while :; do sleep 0.05; done)");
  options_.drain = absl::Seconds(5);
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  absl::SleepFor(absl::Milliseconds(300));  // the scripts have set their traps
  cluster->Stop();
  std::ostringstream seen;
  seen << std::ifstream(root_ + "/seen").rdbuf();
  EXPECT_THAT(seen.str(), AllOf(HasSubstr("bin"), Not(HasSubstr("node-left"))));
  EXPECT_TRUE(fs::exists(root_ + "/node-left"));
}

TEST_F(ClusterTest, WhoIsInAHurryDoesNotWait) {
  Script("kedge-router", R"sh(trap '' TERM
echo "127.0.0.1:4711 127.0.0.1:4712" > /proc/self/fd/$4; while :; do sleep 0.05; done)sh");
  options_.drain = absl::Seconds(60);
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const absl::Time start = absl::Now();
  cluster->Stop([start] { return absl::Now() - start > absl::Milliseconds(300); });
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
}

TEST_F(ClusterTest, StopLeavesNothingBehindNotEvenTheStubborn) {
  Script("kedge-prefill", "trap '' TERM; while true; do sleep 1; done");
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_GE(Living(), 2);
  absl::Time start = absl::Now();
  cluster->Stop();
  EXPECT_LT(absl::Now() - start, absl::Seconds(8));
  for (int i = 0; i < 200 && Living() > 0; ++i) absl::SleepFor(absl::Milliseconds(10));  // init reaps
  EXPECT_EQ(Living(), 0);
}

TEST_F(ClusterTest, ASignalEndsTheWait) {
  auto never_ready = [](const RouterAddresses&) { return ClusterView(); };
  absl::Time start = absl::Now();
  absl::Status status =
      Cluster::Start(options_, never_ready, [&] { return absl::Now() - start > absl::Milliseconds(200); }).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(6));
}

TEST_F(ClusterTest, PollReportsEachDeathOnce) {
  Script("kedge-decode", R"(while [ ! -e "$ROOT/die" ]; do sleep 0.05; done; exit 7)");
  auto cluster = Cluster::Start(options_, AllReady, Never);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_TRUE(cluster->Poll().empty());
  std::ofstream(root_ + "/die") << "";
  const std::vector<Cluster::Ended> ended = WaitForEnded(*cluster);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].name, "decode-0");
  EXPECT_EQ(ended[0].how, "exit code 7");
  EXPECT_TRUE(cluster->Poll().empty());
}

TEST(DefaultThreadsTest, NodesOfOneKindShareTheCores) {
  EXPECT_EQ(DefaultThreads(8, 1, 1), 8);
  EXPECT_EQ(DefaultThreads(8, 2, 1), 4);
  EXPECT_EQ(DefaultThreads(8, 3, 3), 3);
  EXPECT_EQ(DefaultThreads(2, 16, 16), 1);
  EXPECT_EQ(DefaultThreads(0, 1, 1), 1);
}

TEST(DefaultKvMemoryTest, ManyNodesPromiseNoMoreThanTwo) {
  constexpr uint64_t kMib = 1 << 20;
  EXPECT_EQ(DefaultKvMemoryMib(4096 * kMib, 1), 4096u);
  EXPECT_EQ(DefaultKvMemoryMib(4096 * kMib, 2), 4096u);
  EXPECT_EQ(DefaultKvMemoryMib(4096 * kMib, 4), 2048u);
  EXPECT_EQ(DefaultKvMemoryMib(1000 * kMib, 3), 666u);
  EXPECT_EQ(DefaultKvMemoryMib(1000 * kMib, 100), 64u);
}

}  // namespace
}  // namespace kedge
