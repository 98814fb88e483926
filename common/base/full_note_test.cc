#include "common/base/full_note.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(FullNoteTest, OneForWantOfTimeCoversWhatIsNoEasierUntilThereIsRoom) {
  const absl::Time now = absl::UnixEpoch();
  const absl::Status refusal = Refusal(absl::ResourceExhaustedError("late"), kDeadlineTooShort, absl::Seconds(1));
  const FullNote note = NoteOf(refusal, absl::Seconds(1), now, absl::Seconds(5), 300);
  EXPECT_TRUE(note.Covers(now, absl::Seconds(5), 300));
  EXPECT_TRUE(note.Covers(now, absl::Milliseconds(5050), 300));  // a client with as much time, asked for sooner
  EXPECT_FALSE(note.Covers(now, absl::Seconds(6), 300));
  EXPECT_FALSE(note.Covers(now, absl::InfiniteDuration(), 300));
  EXPECT_FALSE(note.Covers(now, absl::Seconds(5), 200));
  EXPECT_FALSE(note.Covers(now + absl::Seconds(1), absl::Seconds(5), 300));
}

TEST(FullNoteTest, OneForAFullQueueCoversAllForAWhile) {
  const absl::Time now = absl::UnixEpoch();
  const absl::Status refusal = Refusal(absl::ResourceExhaustedError("full"), kQueueFull, absl::Minutes(1));
  const FullNote note = NoteOf(refusal, absl::Minutes(1), now, absl::Seconds(5), 300);
  EXPECT_TRUE(note.Covers(now, absl::InfiniteDuration(), 1));
  EXPECT_FALSE(note.Covers(now + kLongestNote, absl::InfiniteDuration(), 1));
}

}  // namespace
}  // namespace kedge
