// Changes a message as an enemy would, and leaves it a message: bytes changed at random seldom pass protobuf's parser.
#ifndef KEDGE_TESTS_MESSAGE_MUTATOR_H_
#define KEDGE_TESTS_MESSAGE_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <random>

#include "google/protobuf/message.h"

namespace kedge {

// Changes some fields anywhere in it: numbers to those that sizes and indices break at, floats to NaN and the like,
// strings and lists to others, messages to none or to copies of their neighbours.
void MutateMessage(std::mt19937_64& random, google::protobuf::Message* message);

// For LLVMFuzzerCustomMutator: of an input that is a serialized `scratch`. Returns the new size; 0: `data` is none, or
// the change does not fit.
size_t MutateSerialized(google::protobuf::Message* scratch, uint8_t* data, size_t size, size_t max_size,
                        unsigned int seed);

}  // namespace kedge

#endif  // KEDGE_TESTS_MESSAGE_MUTATOR_H_
