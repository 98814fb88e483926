#include "common/transfer/state_message.h"

#include "gtest/gtest.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {
namespace {

Payload Bytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  return Payload::Own(std::move(bytes));
}

std::string Flat(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

grpc::ByteBuffer Buffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

TEST(StateMessageTest, FramesSurviveWithoutBeingCopiedIntoAMessage) {
  const Payload frame = Bytes(100000);
  const grpc::ByteBuffer buffer = EncodeStateEvent({StateFrame{frame}});
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(buffer.Dump(&slices).ok());
  EXPECT_EQ(slices.back().begin(), frame.bytes.data());  // the very bytes
  const absl::StatusOr<StateEvent> event = DecodeStateEvent(buffer);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(std::get<StateFrame>(event->event).frame.bytes, frame.bytes);
  EXPECT_EQ(event->wire_bytes, buffer.Length());
  EXPECT_LT(event->wire_bytes, frame.bytes.size() + 16);
}

TEST(StateMessageTest, IsAnOrdinaryProtoForEveryOtherReader) {
  const Payload header = Bytes(50);
  node::v1::PrefillResponse response;
  ASSERT_TRUE(response.ParseFromString(Flat(EncodeStateEvent({StateHead{header, 7}}))));
  EXPECT_TRUE(response.has_header());
  EXPECT_EQ(response.payload().size(), 50u);
  const absl::StatusOr<StateEvent> event = DecodeStateEvent(Buffer(response.SerializeAsString()));
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(std::get<StateHead>(event->event).header.bytes, header.bytes);
  EXPECT_EQ(std::get<StateHead>(event->event).cached_tokens, 7u);
}

TEST(StateMessageTest, TheOthersHaveNoPayload) {
  EXPECT_EQ(std::get<StateAccepted>(DecodeStateEvent(EncodeStateEvent({StateAccepted{77}}))->event).tokens_ahead, 77u);
  EXPECT_EQ(std::get<StateProgress>(DecodeStateEvent(EncodeStateEvent({StateProgress{9}}))->event).computed, 9u);
  EXPECT_TRUE(std::get<StateEnded>(DecodeStateEvent(EncodeStateEvent({StateEnded{}}))->event).status.ok());
}

TEST(StateMessageTest, DamageIsAnErrorAndNeverACrash) {
  const std::string good = Flat(EncodeStateEvent({StateFrame{Bytes(60)}}));
  for (size_t size = 0; size + 1 < good.size(); ++size) {
    const absl::StatusOr<StateEvent> event = DecodeStateEvent(Buffer(good.substr(0, size)));
    if (event.ok()) {
      EXPECT_TRUE(std::get<StateFrame>(event->event).frame.bytes.empty()) << size;
    }
  }
  EXPECT_FALSE(DecodeStateEvent(Buffer("")).ok());
  EXPECT_FALSE(DecodeStateEvent(Buffer(std::string(100, '\xff'))).ok());
  EXPECT_FALSE(DecodeStateEvent(Buffer(good + good)).ok());  // a payload that is not the last field
}

}  // namespace
}  // namespace kedge
