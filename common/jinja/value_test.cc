#include "common/jinja/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/jinja/print.h"

namespace kedge::jinja {
namespace {

Value Json(const char* text, Origin origin = 3) {
  return *Value::FromJson(nlohmann::ordered_json::parse(text), origin);
}

std::string Repr(const Value& value) {
  TextBuilder builder(nullptr);
  EXPECT_TRUE(AppendRepr(value, builder).ok());
  return std::string(builder.Build()->bytes());
}

TEST(Value, WeighsWhatIsMetInIt) {
  Account account((Limits()));
  EXPECT_EQ(Value::Int(1).weight(), 1);
  EXPECT_EQ(Value::Text(std::string(600, 'x')).weight(), 3);
  EXPECT_EQ(Json(R"({"a": [1, 2], "b": "c"})").weight(), 7);
  Value list = Value::List({Value::Int(1)});
  Value tuple = list;
  for (int i = 0; i < 90; ++i) {
    list = Value::List({list, list});
    Sequence pair;
    pair.kind = Sequence::Kind::kTuple;
    pair.values = {tuple, tuple};
    tuple = *Value::FromSequence(&account, std::move(pair));
  }
  EXPECT_GT(list.weight(), int64_t{1} << 59);  // and has not wrapped
  EXPECT_EQ(Equal(&account, list, Value::List({list, list})).status().code(), absl::StatusCode::kResourceExhausted);
  Account other((Limits()));
  EXPECT_TRUE(*Equal(&other, list, Value::Int(3)) == false);  // the smaller one is paid for
  EXPECT_EQ(IsHashable(&other, tuple).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Value, KeysAreEqualWhereTheirValuesAre) {
  Account account((Limits()));
  const auto tuple = [&](std::vector<Value> values) {
    Sequence sequence;
    sequence.kind = Sequence::Kind::kTuple;
    sequence.values = std::move(values);
    return *Value::FromSequence(&account, std::move(sequence));
  };
  Members members;
  members.Set(tuple({Value::Text("a"), Value::Int(1)}), Value::Int(1));
  members.Set(tuple({Value::Text("a"), Value::Float(1)}), Value::Int(2));
  members.Set(tuple({Value::Text("as"), Value::Int(1)}), Value::Int(3));
  members.Set(tuple({Value::Text("a"), tuple({Value::Int(1)})}), Value::Int(4));
  members.Set(tuple({Value::Text("a"), tuple({}), Value::Int(1)}), Value::Int(5));
  members.Set(tuple({Value::Text("1sa")}), Value::Int(6));
  members.Set(tuple({Value::Int(1), Value::Text("a")}), Value::Int(7));
  members.Set(Value::Text("i1;"), Value::Int(8));
  members.Set(Value::Bool(true), Value::Int(9));
  EXPECT_EQ(members.values.size(), 8u);
  EXPECT_EQ(members.Find(tuple({Value::Text("a"), Value::Bool(true)}))->as_int(), 2);
  EXPECT_EQ(members.Find(Value::Int(1))->as_int(), 9);
}

TEST(Value, ComesFromJsonWithItsOrderAndOrigin) {
  Account account((Limits()));
  const Value value = Json(R"({"b": [1, 2.0, null, true, "x"], "a": {}})");
  EXPECT_EQ(Repr(value), "{'b': [1, 2.0, None, True, 'x'], 'a': {}}");
  const Text text = *ToJson(&account, value);
  EXPECT_EQ(text.bytes(), R"({"b": [1, 2.0, null, true, "x"], "a": {}})");
  ASSERT_EQ(text.runs().size(), 1u);  // quotes and brackets too
  EXPECT_EQ(text.runs()[0].origin, 3u);
}

TEST(Value, DeepJsonIsAnError) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += '[';
  for (int i = 0; i < 100'000; ++i) text += ']';
  EXPECT_EQ(Value::FromJson(nlohmann::ordered_json::parse(text), 1).status().message(),
            "JSON is nested more than 64 deep");
}

TEST(Value, EqualsAsInPython) {
  Account account((Limits()));
  const auto equal = [&](const Value& a, const Value& b) { return *Equal(&account, a, b); };
  EXPECT_TRUE(equal(Value::Int(1), Value::Float(1)));
  EXPECT_TRUE(equal(Value::Int(1), Value::Bool(true)));
  EXPECT_FALSE(equal(Value::Int(9007199254740993), Value::Float(9007199254740992.0)));
  EXPECT_FALSE(equal(Value::Text("1"), Value::Int(1)));
  EXPECT_TRUE(equal(Json(R"({"a": 1, "b": [2]})"), Json(R"({"b": [2.0], "a": true})")));
  EXPECT_FALSE(equal(Value::Float(std::nan("")), Value::Float(std::nan(""))));
  EXPECT_TRUE(equal(Value(), Value::Undefined("x")));
}

TEST(Value, KeysOfNumbersAreOne) {
  Members members;
  members.Set(Value::Int(1), Value::Text("a"));
  members.Set(Value::Float(1.0), Value::Text("b"));
  members.Set(Value::Bool(true), Value::Text("c"));
  ASSERT_EQ(members.values.size(), 1u);
  EXPECT_EQ(members.values[0].second.text().bytes(), "c");
  for (int i = 0; i < 100; ++i) members.Set(Value::Text(std::to_string(i)), Value::Int(i));
  EXPECT_EQ(members.Find("57")->as_int(), 57);
  EXPECT_EQ(members.Find("1000"), nullptr);
}

TEST(Value, TruthIsPythons) {
  for (const char* json : {"null", "false", "0", "0.0", "\"\"", "[]", "{}"}) EXPECT_FALSE(IsTrue(Json(json))) << json;
  for (const char* json : {"true", "-1", "0.1", "\"0\"", "[0]", "{\"\": 0}"}) EXPECT_TRUE(IsTrue(Json(json))) << json;
  EXPECT_FALSE(IsTrue(Value()));
}

TEST(Value, FloatsAreWrittenAsPythonDoes) {
  EXPECT_EQ(FloatToString(1), "1.0");
  EXPECT_EQ(FloatToString(0.1), "0.1");
  EXPECT_EQ(FloatToString(1e15), "1000000000000000.0");
  EXPECT_EQ(FloatToString(1e16), "1e+16");
  EXPECT_EQ(FloatToString(0.0001), "0.0001");
  EXPECT_EQ(FloatToString(0.00001), "1e-05");
  EXPECT_EQ(FloatToString(-0.0), "-0.0");
  EXPECT_EQ(FloatToString(INFINITY), "inf");
}

TEST(Value, ReprEscapesWhatDoesNotPrint) {
  EXPECT_EQ(Repr(Value::Text("a\n\x01\u200b\u00a0\u4e16'")), "\"a\\n\\x01\\u200b\\xa0\u4e16'\"");
  EXPECT_EQ(Repr(Value::Text("'\"\\")), "'\\'\"\\\\'");
}

TEST(Value, JsonStyles) {
  Account account((Limits()));
  JsonStyle style;
  style.indent = Text("  ");
  style.sort_keys = true;
  style.ensure_ascii = true;
  EXPECT_EQ(ToJson(&account, Json(R"({"b": [1], "a": "\u00e9\ud83c\udf89"})"), style)->bytes(),
            "{\n  \"a\": \"\\u00e9\\ud83c\\udf89\",\n  \"b\": [\n    1\n  ]\n}");
  EXPECT_FALSE(ToJson(&account, Value::Undefined("x")).ok());
}

}  // namespace
}  // namespace kedge::jinja
