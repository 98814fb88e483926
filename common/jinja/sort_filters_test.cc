// The order of Sorted, which is not the library's sort.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/jinja/filters.h"
#include "gtest/gtest.h"

namespace kedge::jinja {
namespace {

// Sorts 0, 1, 2... by these keys.
std::string Order(std::vector<Value> keys, bool reverse = false) {
  Runtime runtime({}, absl::UnixEpoch());
  std::vector<Value> values;
  for (size_t i = 0; i < keys.size(); ++i) values.push_back(Value::Int(static_cast<int64_t>(i)));
  const auto sorted = Sorted(runtime, values, keys, reverse);
  if (!sorted.ok()) return std::string(sorted.status().message());
  std::string order;
  for (const Value& value : *sorted) order += std::to_string(value.as_int()) + " ";
  return order;
}

TEST(Sorted, EqualOnesStayAsTheyWereInBothDirections) {
  const auto keys = [] { return std::vector<Value>{Value::Int(2), Value::Int(1), Value::Float(2), Value::Bool(true)}; };
  EXPECT_EQ(Order(keys()), "1 3 0 2 ");
  EXPECT_EQ(Order(keys(), true), "0 2 1 3 ");
  EXPECT_EQ(Order({}), "");
}

TEST(Sorted, KeysWithoutAnOrderAreAnError) {
  EXPECT_EQ(Order({Value::Int(1), Value::Text("a")}), "`<` is not defined for a str and a int");
  EXPECT_EQ(Order({Value::None()}), "0 ");  // nothing is compared
}

TEST(Sorted, AnOrderThatContradictsItselfEnds) {
  std::vector<Value> keys;
  for (int i = 0; i < 100; ++i) keys.push_back(i % 3 == 0 ? Value::Float(std::nan("")) : Value::Int(100 - i));
  const std::string order = Order(std::move(keys));
  EXPECT_EQ(std::count(order.begin(), order.end(), ' '), 100);
}

TEST(Sorted, TakesNLogNSteps) {
  std::vector<Value> keys;
  for (int i = 0; i < 4096; ++i) keys.push_back(Value::Int((i * 2654435761u) % 4096));
  Runtime runtime({}, absl::UnixEpoch());
  ASSERT_TRUE(Sorted(runtime, keys, keys, false).ok());
  EXPECT_LE(runtime.account()->steps(), 4096 * 12);
  EXPECT_GE(runtime.account()->steps(), 4096 * 6);
}

}  // namespace
}  // namespace kedge::jinja
