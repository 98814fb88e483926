// By reflection: a field is drawn among all that the message and its parts have or could have.
// Tested by message_mutator_test.cc.
#include "tests/message_mutator.h"

#include <limits>
#include <string>
#include <vector>

namespace kedge {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Random = std::mt19937_64;

size_t Below(Random& random, size_t end) { return random() % end; }

uint64_t OddNumber(Random& random, uint64_t old) {
  switch (Below(random, 7)) {
    case 0: return 0;
    case 1: return ~uint64_t{0} >> Below(random, 64);  // 2^n - 1
    case 2: return uint64_t{1} << Below(random, 64);
    case 3: return old + 1 + Below(random, 3);
    case 4: return old - 1 - Below(random, 3);
    case 5: return Below(random, 300);
    default: return random();
  }
}

double OddFloat(Random& random, double old) {
  switch (Below(random, 8)) {
    case 0: return std::numeric_limits<double>::quiet_NaN();
    case 1: return std::numeric_limits<double>::infinity();
    case 2: return -std::numeric_limits<double>::infinity();
    case 3: return std::numeric_limits<float>::max();
    case 4: return std::numeric_limits<float>::denorm_min();
    case 5: return 0;
    case 6: return -old;
    default: return old * 2;
  }
}

std::string OddString(Random& random, std::string old) {
  static constexpr const char* kOdd[] = {"", "\x1b]0;owned\x07", "a\nb", "\xff\xfe", "full", "unix:/tmp/x", "1", ","};
  switch (Below(random, 5)) {
    case 0: return kOdd[Below(random, std::size(kOdd))];
    case 1: return old + old;
    case 2: return old.substr(0, Below(random, old.size() + 1));
    case 3: return std::string(Below(random, 2000), 'a');
    default:
      if (!old.empty()) old[Below(random, old.size())] ^= 1 << Below(random, 8);
      return old;
  }
}

// Where a value stands: in a field, or in a list.
struct Place {
  Message* message;
  const FieldDescriptor* field;
  int index = -1;
};

// Get and Set, or of an element GetRepeated and SetRepeated.
#define KEDGE_CHANGE(Kind, change)                                                              \
  {                                                                                             \
    const auto old = place.index < 0 ? reflection.Get##Kind(message, field)                     \
                                     : reflection.GetRepeated##Kind(message, field, place.index); \
    const auto value = change;                                                                  \
    if (place.index < 0) {                                                                      \
      reflection.Set##Kind(&message, field, value);                                             \
    } else {                                                                                    \
      reflection.SetRepeated##Kind(&message, field, place.index, value);                        \
    }                                                                                           \
    return;                                                                                     \
  }

void ChangeValue(Random& random, const Place& place) {
  Message& message = *place.message;
  const FieldDescriptor* const field = place.field;
  const Reflection& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: KEDGE_CHANGE(Int32, static_cast<int32_t>(OddNumber(random, old)));
    case FieldDescriptor::CPPTYPE_INT64: KEDGE_CHANGE(Int64, static_cast<int64_t>(OddNumber(random, old)));
    case FieldDescriptor::CPPTYPE_UINT32: KEDGE_CHANGE(UInt32, static_cast<uint32_t>(OddNumber(random, old)));
    case FieldDescriptor::CPPTYPE_UINT64: KEDGE_CHANGE(UInt64, OddNumber(random, old));
    case FieldDescriptor::CPPTYPE_ENUM: KEDGE_CHANGE(EnumValue, static_cast<int>(OddNumber(random, old)));
    case FieldDescriptor::CPPTYPE_BOOL: KEDGE_CHANGE(Bool, !old);
    case FieldDescriptor::CPPTYPE_FLOAT: KEDGE_CHANGE(Float, static_cast<float>(OddFloat(random, old)));
    case FieldDescriptor::CPPTYPE_DOUBLE: KEDGE_CHANGE(Double, OddFloat(random, old));
    case FieldDescriptor::CPPTYPE_STRING: KEDGE_CHANGE(String, OddString(random, old));
    case FieldDescriptor::CPPTYPE_MESSAGE: break;
  }
  if (place.index < 0) reflection.MutableMessage(&message, field);
}
#undef KEDGE_CHANGE

void AddElement(const Reflection& reflection, const FieldDescriptor* field, Message* message) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return reflection.AddInt32(message, field, 0);
    case FieldDescriptor::CPPTYPE_INT64: return reflection.AddInt64(message, field, 0);
    case FieldDescriptor::CPPTYPE_UINT32: return reflection.AddUInt32(message, field, 0);
    case FieldDescriptor::CPPTYPE_UINT64: return reflection.AddUInt64(message, field, 0);
    case FieldDescriptor::CPPTYPE_ENUM: return reflection.AddEnumValue(message, field, 0);
    case FieldDescriptor::CPPTYPE_BOOL: return reflection.AddBool(message, field, false);
    case FieldDescriptor::CPPTYPE_FLOAT: return reflection.AddFloat(message, field, 0);
    case FieldDescriptor::CPPTYPE_DOUBLE: return reflection.AddDouble(message, field, 0);
    case FieldDescriptor::CPPTYPE_STRING: return reflection.AddString(message, field, "");
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      // A neighbour's copy says more than nothing does.
      const int size = reflection.FieldSize(*message, field);
      Message* const added = reflection.AddMessage(message, field);
      if (size > 0) added->CopyFrom(reflection.GetRepeatedMessage(*message, field, size - 1));
      return;
    }
  }
}

void ChangeList(Random& random, const Place& place) {
  const Reflection& reflection = *place.message->GetReflection();
  const int size = reflection.FieldSize(*place.message, place.field);
  switch (size == 0 ? 0 : Below(random, 5)) {
    case 0: return AddElement(reflection, place.field, place.message);
    case 1: return reflection.RemoveLast(place.message, place.field);
    case 2:
      return reflection.SwapElements(place.message, place.field, static_cast<int>(Below(random, size)),
                                     static_cast<int>(Below(random, size)));
    case 3:
      if (Below(random, 8) == 0) return reflection.ClearField(place.message, place.field);
      [[fallthrough]];
    default:
      return ChangeValue(random, {place.message, place.field, static_cast<int>(Below(random, size))});
  }
}

void AddPlaces(Message* message, int level, std::vector<Place>* places) {
  constexpr int kMaxLevel = 8;  // of messages within messages
  const Reflection& reflection = *message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* const field = message->GetDescriptor()->field(i);
    places->push_back({message, field});
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || level == kMaxLevel) continue;
    if (field->is_repeated()) {
      for (int k = 0; k < reflection.FieldSize(*message, field); ++k) {
        AddPlaces(reflection.MutableRepeatedMessage(message, field, k), level + 1, places);
      }
    } else if (reflection.HasField(*message, field)) {
      AddPlaces(reflection.MutableMessage(message, field), level + 1, places);
    }
  }
}

}  // namespace

void MutateMessage(Random& random, Message* message) {
  for (size_t edits = size_t{1} << Below(random, 4); edits > 0; --edits) {
    std::vector<Place> places;
    AddPlaces(message, 0, &places);
    const Place& place = places[Below(random, places.size())];
    if (place.field->is_repeated()) {
      ChangeList(random, place);
    } else if (Below(random, 8) == 0) {
      place.message->GetReflection()->ClearField(place.message, place.field);
    } else {
      ChangeValue(random, place);
    }
  }
}

size_t MutateSerialized(Message* scratch, uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  Random random(seed);
  if (!scratch->ParseFromArray(data, static_cast<int>(size))) return 0;
  MutateMessage(random, scratch);
  const size_t changed = scratch->ByteSizeLong();
  if (changed > max_size || !scratch->SerializeToArray(data, static_cast<int>(changed))) return 0;
  return changed;
}

}  // namespace kedge
