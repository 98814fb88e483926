// Fuzz target of FrameMeter: in whatever pieces bytes come, the same is found, and no more is unread than came.
#include "common/rpc/frame_meter.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/testing/fuzz_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kedge::FrameMeter;
  FrameMeter whole;
  const FrameMeter::Excess found = whole.Add(data, size);
  KEDGE_CHECK(whole.unread() <= size);
  FrameMeter pieces;
  FrameMeter::Excess excess = FrameMeter::Excess::kNone;
  for (size_t at = 0, step = 1; at < size; at += step, step = step % 7 + 1) {
    excess = pieces.Add(data + at, std::min(step, size - at));
  }
  KEDGE_CHECK(excess == found);
  KEDGE_CHECK(found != FrameMeter::Excess::kNone || pieces.unread() == whole.unread());
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  const std::string begin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const auto frame = [](const std::string& payload, char type, char flags) {
    return std::string({0, 0, static_cast<char>(payload.size()), type, flags, 0, 0, 0, 1}) + payload;
  };
  const std::string message("\0\0\0\0\x14more", 9);
  return {
      begin + frame("", 4, 0) + frame("headers", 1, 4) + frame("and more", 9, 4) + frame(message, 0, 0),
      begin + frame("\x03" + message + "pad", 0, 8) + frame("of it", 0, 0) + frame("errr", 3, 0),
      begin + frame(message, 0, 0) + frame(std::string("\0\xff\xff\xff\xff", 5), 0, 1),
  };
}
