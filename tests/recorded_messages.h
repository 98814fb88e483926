// Messages that were recorded between the parts of a live cluster (record_messages.cc): where fuzz targets begin.
#ifndef KEDGE_TESTS_RECORDED_MESSAGES_H_
#define KEDGE_TESTS_RECORDED_MESSAGES_H_

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "google/protobuf/text_format.h"

namespace kedge {

// One file for each kind of message: texts, each ended by this line.
inline constexpr char kEndOfMessage[] = "# end\n";
inline constexpr char kRecordedMessages[] = "tests/testdata/messages/";

inline std::string RecordedFileName(const google::protobuf::Descriptor& type) { return type.name() + ".txtpb"; }

// Those of the type `Message`, from the working directory of tests: the root of the workspace.
template <typename Message>
std::vector<Message> ReadRecordedMessages() {
  const std::string path = kRecordedMessages + RecordedFileName(*Message::descriptor());
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<Message> messages;
  size_t begin = 0;
  for (size_t end; (end = text.find(kEndOfMessage, begin)) != std::string::npos;
       begin = end + sizeof(kEndOfMessage) - 1) {
    KEDGE_CHECK(
        google::protobuf::TextFormat::ParseFromString(text.substr(begin, end - begin), &messages.emplace_back()));
  }
  KEDGE_CHECK(!messages.empty());
  return messages;
}

}  // namespace kedge

#endif  // KEDGE_TESTS_RECORDED_MESSAGES_H_
