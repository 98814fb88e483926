// Who is asked for states: the other end of StateSource.
#ifndef KEDGE_COMMON_TRANSFER_STATE_SERVER_H_
#define KEDGE_COMMON_TRANSFER_STATE_SERVER_H_

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "common/transfer/state_source.h"

namespace kedge {

// Where a state goes: the events of state_source.h, one after another. Must not block.
class StateSink {
 public:
  virtual ~StateSink() = default;
  virtual void Send(StateEvent event) = 0;
  // So much waits to be sent that the job should pause: its rows stay, and frames do not pile up outside the KV memory.
  virtual bool Congested() const = 0;
};

// Called by one thread at a time.
class StateServer {
 public:
  using JobId = uint64_t;

  virtual ~StateServer() = default;
  // Takes a request whose events go to `sink`, or ends it at once. `sink` is released when the job goes. Asks nothing
  // of a device, so it may come while one is at work.
  virtual JobId Add(StateRequest request, std::shared_ptr<StateSink> sink, absl::Time deadline) = 0;
  // Forgets a job. Unknown ids are ignored (the job may have ended).
  virtual void Cancel(JobId id) = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_STATE_SERVER_H_
