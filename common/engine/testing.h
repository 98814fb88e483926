// Random contents for tests of everything above the kernels.
#ifndef KEDGE_COMMON_ENGINE_TESTING_H_
#define KEDGE_COMMON_ENGINE_TESTING_H_

#include <cstdint>
#include <random>

#include "common/anchor/content.h"

namespace kedge {

// A policy drawn from all keys' ranges, small numbers preferred; ids below `vocab_size` close sequences.
Policy RandomPolicy(uint32_t vocab_size, std::mt19937& random);

// 1 to `max_tokens` ids below `vocab_size`; closing ids are frequent, sometimes in a row, sometimes absent; some rows
// never act as anchors, some are pinned; the prompt ends anywhere.
Content RandomContent(uint32_t vocab_size, uint32_t max_tokens, std::mt19937& random);

// A prompt under `prefill=full`, and a short answer, that begin as `earlier` does, up to its end or any other place,
// and go on with other ids, or with none; its choice is still to be made.
Content RandomTurn(const Content& earlier, uint32_t vocab_size, uint32_t max_tokens, std::mt19937& random);

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_TESTING_H_
