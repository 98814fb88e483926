#include "common/rpc/announce.h"

#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(AnnounceTest, TheAddressArrivesWhole) {
  absl::StatusOr<AnnouncePipe> pipe = AnnouncePipe::Make();
  ASSERT_TRUE(pipe.ok()) << pipe.status();
  EXPECT_EQ(pipe->Poll(), "");
  const int server = dup(pipe->child_end());
  pipe->CloseChildEnd();
  ASSERT_EQ(write(server, "[::1]", 5), 5);
  EXPECT_EQ(pipe->Poll(), "");  // may go on
  EXPECT_TRUE(Announce(server, ":5005").ok());
  EXPECT_EQ(pipe->Poll(), "[::1]:5005");
  EXPECT_EQ(pipe->Poll(), "[::1]:5005");
}

TEST(AnnounceTest, AServerThatEndsBeforeSaysNothing) {
  absl::StatusOr<AnnouncePipe> pipe = AnnouncePipe::Make();
  pipe->CloseChildEnd();
  EXPECT_EQ(pipe->Poll(), "");
}

TEST(AnnounceTest, NamesAFileThatIsNone) {
  const absl::Status status = Announce(9999, "a:1");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--announce-fd: 9999: Bad file"));
}

}  // namespace
}  // namespace kedge
