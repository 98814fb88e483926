// The values that templates work on.
#ifndef KEDGE_COMMON_JINJA_VALUE_H_
#define KEDGE_COMMON_JINJA_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/account.h"
#include "common/jinja/text.h"

namespace kedge::jinja {

class Object;
struct Sequence;
struct Members;

// What Python calls an undefined, None, a bool, int, float, str, list (and what else iterates: see Sequence), dict, or
// an object (a function, a namespace, a loop: object.h). A missing integer: those beyond 64 bits.
//
// Every value has an origin, not only strings: it is that of the characters that stand for it when it is printed. Cheap
// to copy, and immutable, but for objects and for sequences that can be read once. Thread-compatible; those that the
// caller makes may be shared by renderings on many threads.
class Value {
 public:
  enum class Kind { kUndefined, kNone, kBool, kInt, kFloat, kString, kSequence, kDict, kObject };

  Value() = default;  // undefined
  // `what` says in errors what is undefined: "'x' is undefined".
  static Value Undefined(absl::string_view what);
  static Value None(Origin origin = kTemplate) { return Value(std::monostate(), origin); }
  static Value Bool(bool value, Origin origin = kTemplate) { return Value(value, origin); }
  static Value Int(int64_t value, Origin origin = kTemplate) { return Value(value, origin); }
  static Value Float(double value, Origin origin = kTemplate) { return Value(value, origin); }
  static Value String(jinja::Text text) { return Value(std::move(text), kTemplate); }
  static Value Text(absl::string_view text, Origin origin = kTemplate) { return String(jinja::Text(text, origin)); }
  // A string that counts as HTML already: see markup.h.
  static Value Markup(jinja::Text text) {
    Value value = String(std::move(text));
    value.markup_ = true;
    return value;
  }
  static Value List(std::vector<Value> values, Origin origin = kTemplate);
  static Value Dict(std::vector<std::pair<std::string, Value>> members, Origin origin = kTemplate);
  // Keys keep their order. Integers beyond 64 bits become floats. kInvalidArgument: nested more than
  // kMaxJsonDepth (common/base/json_text.h) deep.
  static absl::StatusOr<Value> FromJson(const nlohmann::ordered_json& json, Origin origin);

  // The values below come from a rendering's memory. kResourceExhausted when there is no more, or when lists and dicts
  // are nested more than 100 deep.
  static absl::StatusOr<Value> FromSequence(Account* account, Sequence sequence, Origin origin = kTemplate);
  static absl::StatusOr<Value> FromMembers(Account* account, Members members, Origin origin = kTemplate);
  // Owned by the rendering that made it.
  static Value FromObject(Object* object) { return Value(object, kTemplate); }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is_markup() const { return markup_; }
  bool is_number() const { return is(Kind::kBool) || is(Kind::kInt) || is(Kind::kFloat); }
  bool is_integer() const { return is(Kind::kBool) || is(Kind::kInt); }

  // REQUIRES: is(kind).
  absl::string_view undefined() const;
  bool as_bool() const { return std::get<bool>(data_); }
  int64_t as_int() const { return is(Kind::kBool) ? as_bool() : std::get<int64_t>(data_); }  // REQUIRES: is_integer()
  double as_double() const;                                                                  // REQUIRES: is_number()
  const jinja::Text& text() const { return std::get<jinja::Text>(data_); }
  const Sequence& sequence() const { return *std::get<std::shared_ptr<const Sequence>>(data_); }
  const Members& members() const { return *std::get<std::shared_ptr<const Members>>(data_); }
  Object* object() const { return std::get<Object*>(data_); }

  // Of what is not a string. A string's is that of each of its bytes.
  Origin origin() const { return origin_; }
  // How deep lists and dicts are nested in it: 0 for none.
  int depth() const;
  // How many values whoever goes through it meets, itself and 256 bytes of a string counted as one: what stands in two
  // places is met twice, so that a few lists within each other may weigh more than memory could hold.
  int64_t weight() const;
  // The same list or dict in memory, or equal values of another kind. Of strings it may read all bytes.
  bool SameAs(const Value& other) const;

 private:
  template <typename T>
  Value(T data, Origin origin) : data_(std::move(data)), origin_(origin) {}

  std::variant<std::shared_ptr<const std::string>, std::monostate, bool, int64_t, double, jinja::Text,
               std::shared_ptr<const Sequence>, std::shared_ptr<const Members>, Object*>
      data_;
  Origin origin_ = kTemplate;
  bool markup_ = false;
};

// What iterates by index. All but lists and tuples are what methods and filters give.
struct Sequence {
  enum class Kind {
    kList,
    kTuple,
    kRange,
    kKeys,  // views of dicts: a length, but no items by index
    kValues,
    kItems,
    kOnce,  // a generator: no length, always true, and whoever reads an item takes it away
  };
  Kind kind = Kind::kList;
  std::vector<Value> values;
  // Of kRange: what range() was given.
  int64_t begin = 0;
  int64_t end = 0;
  int64_t step = 1;
  // Of kOnce: how many have been taken. Such a sequence belongs to one rendering.
  mutable size_t taken = 0;
  // Implementation details follow.
  int depth = 1;
  int64_t weight = 1;
  Holding holding;

  bool indexed() const { return kind <= Kind::kRange; }
  bool sized() const { return kind != Kind::kOnce; }
};

// What a dict has, in the order in which it was added.
struct Members {
  std::vector<std::pair<Value, Value>> values;

  // nullptr: no such key. As in Python 1, 1.0 and True are one key.
  const Value* Find(const Value& key) const;
  const Value* Find(absl::string_view key) const;
  // Adds or replaces. REQUIRES: the key is hashable.
  void Set(const Value& key, Value value);

  // Implementation details follow.
  const Value* FindName(const std::string& name) const;
  absl::flat_hash_map<std::string, size_t> index;  // by name of the key
  int depth = 1;
  int64_t weight = 1;
  Holding holding;
};

// Whether it may be a key: no list, no dict, no tuple that has one. The account pays for going through it, and for
// what Find and Set do with it.
absl::StatusOr<bool> IsHashable(Account* account, const Value& value);

// As `if` sees it.
bool IsTrue(const Value& value);
// As == sees it: values of different kinds differ, numbers do not. The account pays for going through the smaller one.
absl::StatusOr<bool> Equal(Account* account, const Value& a, const Value& b);

// As much of a name as an error should show.
inline absl::string_view Shortened(absl::string_view name) { return name.substr(0, 200); }

// Python's name of the type: "str", "dict".
absl::string_view TypeName(const Value& value);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_VALUE_H_
