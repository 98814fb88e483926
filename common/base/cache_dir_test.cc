#include "common/base/cache_dir.h"

#include <cstdlib>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(CacheDir, PrefersXdgCacheHome) {
  setenv("XDG_CACHE_HOME", "/somewhere", 1);
  setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(CacheDir(), "/somewhere/kedge");
}

TEST(CacheDir, FallsBackToHome) {
  setenv("HOME", "/home/someone", 1);
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(CacheDir(), "/home/someone/.cache/kedge");
  setenv("XDG_CACHE_HOME", "", 1);
  EXPECT_EQ(CacheDir(), "/home/someone/.cache/kedge");
}

TEST(CacheDir, IsEmptyWhenNothingIsSet) {
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(CacheDir(), "");
}

}  // namespace
}  // namespace kedge
