#include "common/rpc/open_connections.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

int Socket() { return socket(AF_INET, SOCK_STREAM, 0); }

TEST(OpenConnectionsTest, CountsWhatIsOpenWhateverTakesItsNumber) {
  OpenConnections connections;
  std::vector<int> files;
  for (int i = 0; i < 4; ++i) {
    files.push_back(Socket());
    connections.Add(files.back());
  }
  EXPECT_EQ(connections.Count(), 4u);
  close(files[0]);  // nobody has its number
  EXPECT_EQ(connections.most(), 4u);
  EXPECT_EQ(connections.Count(), 3u);
  const int file = open("/dev/null", O_RDONLY);
  dup2(file, files[1]);  // a file has
  EXPECT_EQ(connections.Count(), 2u);
  const int other = Socket();
  dup2(other, files[2]);  // a socket has that was not handed over
  EXPECT_EQ(connections.Count(), 1u);
  connections.Add(files[2]);  // now it was
  EXPECT_EQ(connections.Count(), 2u);
  for (const int each : {file, other, files[1], files[2], files[3]}) close(each);
  EXPECT_EQ(connections.Count(), 0u);
}

TEST(OpenConnectionsTest, ManyRoundsLeaveNothing) {
  OpenConnections connections;
  for (int i = 0; i < 10000; ++i) {
    const int file = Socket();
    connections.Add(file);
    close(file);
  }
  EXPECT_LE(connections.most(), 1u);  // all had the same number
  EXPECT_EQ(connections.Count(), 0u);
}

}  // namespace
}  // namespace kedge
