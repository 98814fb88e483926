// Values that can do something: functions, macros, namespaces, loops.
#ifndef KEDGE_COMMON_JINJA_OBJECT_H_
#define KEDGE_COMMON_JINJA_OBJECT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/jinja/account.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// What a call hands over.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // nullptr: there is none.
  const Value* Named(absl::string_view name) const;
};

class Runtime;

// Owned by the rendering that it belongs to and used on its thread alone; what it refers to ends with that.
class Object {
 public:
  virtual ~Object() = default;
  // As errors and repr() name it: "function", "Namespace".
  virtual absl::string_view type() const = 0;
  virtual bool callable() const { return false; }
  virtual absl::StatusOr<Value> Call(Runtime& runtime, Arguments arguments);
  // nullopt: it has none of this name.
  virtual absl::StatusOr<std::optional<Value>> Attribute(absl::string_view name) { return std::nullopt; }
};

// What a rendering gives to filters, tests, methods and functions. Owned by one thread.
class Runtime {
 public:
  Runtime(const Limits& limits, absl::Time now) : account_(limits), now_(now) {}
  virtual ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Account* account() { return &account_; }
  absl::Time now() const { return now_; }
  // Keeps `object` until the rendering ends, so that objects may refer to each other freely.
  template <typename T>
  absl::StatusOr<T*> Keep(std::unique_ptr<T> object) {
    if (absl::Status status = account_.Take(sizeof(T) + 32); !status.ok()) return status;
    T* kept = object.get();
    objects_.push_back(std::move(object));
    return kept;
  }

  // Calls a function, macro or method.
  absl::StatusOr<Value> Call(const Value& callee, Arguments arguments);

  // Counts calls and blocks within each other. kResourceExhausted: too many.
  absl::Status Enter();
  void Leave() { --depth_; }

 protected:
  // What objects hold may hold others: it is let go before the objects are.
  void DropObjects() { objects_.clear(); }

 private:
  Account account_;
  const absl::Time now_;
  int depth_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

// Enters for as long as it lives.
class DepthScope {
 public:
  explicit DepthScope(Runtime& runtime) : runtime_(runtime), status_(runtime.Enter()) {}
  ~DepthScope() {
    if (status_.ok()) runtime_.Leave();
  }
  const absl::Status& status() const { return status_; }

 private:
  Runtime& runtime_;
  const absl::Status status_;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_OBJECT_H_
