// Steps in which something happens.
#ifndef KEDGE_COMMON_ENGINE_STEP_QUEUE_TESTING_H_
#define KEDGE_COMMON_ENGINE_STEP_QUEUE_TESTING_H_

#include <functional>
#include <utility>

#include "common/engine/step_queue.h"

namespace kedge {

// Calls what `during_step` points to, once, while the next step is computed.
inline RunStep Once(std::function<void()>* during_step) {
  return [during_step](absl::FunctionRef<void()> step) {
    if (*during_step != nullptr) std::exchange(*during_step, nullptr)();
    step();
  };
}

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STEP_QUEUE_TESTING_H_
