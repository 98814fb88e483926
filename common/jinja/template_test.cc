// What jinja2_test.py does not hold: errors, limits, origins of single operations, and speed that is linear.
#include "common/jinja/template.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"

namespace kedge::jinja {
namespace {

Value Messages() {
  const auto json =
      nlohmann::ordered_json::parse(R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}])");
  std::vector<Value> messages;
  for (size_t i = 0; i < json.size(); ++i) messages.push_back(*Value::FromJson(json[i], static_cast<Origin>(i + 1)));
  return Value::List(std::move(messages));
}

// "origin:text|...", or the error.
std::string Rendered(absl::string_view source, const Limits& limits = {}) {
  const auto parsed = Template::Parse(source);
  if (!parsed.ok()) return absl::StrCat("parse: ", parsed.status().message());
  const Value variables = Value::Dict({{"messages", Messages()}, {"bos_token", Value::Text("<s>")}});
  const auto pieces = parsed->Render(variables, absl::UnixEpoch() + absl::Hours(30), limits);
  if (!pieces.ok()) return std::string(pieces.status().message());
  std::string shown;
  for (const Piece& piece : *pieces) absl::StrAppend(&shown, piece.origin, ":", piece.text, "|");
  return shown;
}

TEST(Template, RendersAChat) {
  EXPECT_EQ(Rendered("{{ bos_token }}{% for m in messages %}\n[{{ m.role }}] {{ m['content'] }}\n{% endfor %}end"),
            "0:<s>[|1:user|0:] |1:Hi|0:\n[|2:assistant|0:] |2:Yo|0:\nend|");
}

TEST(Template, OriginsSurviveEverything) {
  EXPECT_EQ(Rendered("{{ (messages[0].content + '-' + messages[1].content) | upper }}"), "1:HI|0:-|2:YO|");
  EXPECT_EQ(Rendered("{{ messages | map(attribute='content') | join(',') }}"), "1:Hi|0:,|2:Yo|");
  EXPECT_EQ(Rendered("{{ '%s|%4s' % (messages[0].content, messages[1].content) }}"), "1:Hi|0:|  |2:Yo|");
  EXPECT_EQ(Rendered("{% set x %}<{{ messages[0].content }}>{% endset %}{{ x[::-1] }}"), "0:>|1:iH|0:<|");
  EXPECT_EQ(
      Rendered("{% macro m(a) %}({{ a }}){% endmacro %}{{ m(messages[1].content).replace('o', messages[0].content) }}"),
      "0:(|2:Y|1:Hi|0:)|");
  EXPECT_EQ(Rendered("{{ {'a': messages[0]} | tojson }}"),
            "0:{\"a\": |1:{\"role\": \"user\", \"content\": \"Hi\"}|0:}|");
  EXPECT_EQ(Rendered("{% for c in messages[0].content %}{{ c }}{{ loop.index }}{% endfor %}"), "1:H|0:1|1:i|0:2|");
}

TEST(Template, RaiseExceptionSpeaksForItself) {
  EXPECT_EQ(Rendered("\n{{ raise_exception('Roles must alternate') }}"), "Roles must alternate");
}

TEST(Template, ErrorsAreOneLineOfText) {
  EXPECT_EQ(Rendered("{{ raise_exception('a\\n\\x1b[2Jb' ~ messages[0].content) }}"), "a\\n\\x1b[2JbHi");
  EXPECT_EQ(Rendered("{{ messages[0]['a\\nb'].c }}"), "line 1: 'dict object' has no attribute 'a\\nb'");
  EXPECT_EQ(Rendered("{{ 'a\\nb' 'c' \x1b }}"), "parse: line 1: unexpected character `\\x1b`");
}

TEST(Template, FaultsAreInvalidArgumentsButForLimits) {
  const auto code = [](absl::string_view source) {
    return Template::Parse(source)->Render(Value::Dict({}), absl::UnixEpoch()).status().code();
  };
  for (const char* source : {"{{ 9223372036854775807 + 1 }}", "{{ range }}", "{{ [1] | select }}", "{{ 10.0 ** 999 }}",
                             "{{ 1e300 | int }}", "{{ 12 | round(-1) }}", "{{ x.y }}", "{{ raise_exception('a') }}"}) {
    EXPECT_EQ(code(source), absl::StatusCode::kInvalidArgument) << source;
  }
  EXPECT_EQ(code("{{ range(999999999) }}"), absl::StatusCode::kResourceExhausted);
}

TEST(Template, TellsHowManyStepsItTook) {
  int64_t steps = 5;
  const Template loop = *Template::Parse("{% for i in range(1000) %}{{ i }}{% endfor %}");
  ASSERT_TRUE(loop.Render(Value::Dict({}), absl::UnixEpoch(), {}, &steps).ok());
  EXPECT_GT(steps, 1005);
  EXPECT_LT(steps, 10'000);
  Limits limits;
  limits.steps = 100;
  steps = 0;
  EXPECT_FALSE(loop.Render(Value::Dict({}), absl::UnixEpoch(), limits, &steps).ok());
  EXPECT_GT(steps, 100);
  EXPECT_LT(steps, 200);
}

TEST(Template, WhatStandsInManyPlacesIsPaidForInEach) {
  const std::string lists =
      "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] "
      "%}{% endfor %}";
  const std::string tuple =
      "{% set n = namespace(a=(1,)) %}{% for i in range(60) %}{% set n.a = (n.a, n.a) %}{% endfor %}";
  const std::string steps = "line 1: the template takes more than 1000000 steps";
  Limits limits;
  limits.steps = 1'000'000;
  for (const char* use : {"{{ n.a == n.b }}", "{{ {1: n.a} != {1: n.b} }}", "{{ n.a in [n.b] }}", "{{ n.a < n.b }}",
                          "{{ [n.a].count(n.b) }}", "{{ [n.a].index(n.b) }}", "{{ n.a | tojson }}",
                          "{% for x in [n.a, n.b] %}{{ loop.changed(x) }}{% endfor %}",
                          "{{ [{'k': n.a}, {'k': n.b}] | groupby('k') }}"}) {
    EXPECT_EQ(Rendered(lists + use, limits), steps) << use;
  }
  for (const char* use : {"{{ {n.a: 1} }}", "{{ [n.a] | unique | list }}", "{{ {1: 2}[n.a] }}", "{{ {1: 2}.get(n.a) }}",
                          "{{ n.a in {1: 2} }}", "{{ dict([(n.a, 1)]) }}", "{{ n.a is filter }}"}) {
    EXPECT_EQ(Rendered(tuple + use, limits), steps) << use;
  }
  const std::string loop = "{% for i in range(100000) %}";
  EXPECT_EQ(
      Rendered("{% set a = 'x' * 5000000 %}{% set b = 'x' * 5000000 %}" + loop + "{{ a == b }}{% endfor %}", limits),
      steps);
  EXPECT_EQ(Rendered("{% set a = 'x' * 5000000 %}{% set d = {a: 1} %}" + loop + "{{ d[a] }}{% endfor %}", limits),
            steps);
  EXPECT_EQ(Rendered(loop + "{% set x = strftime_now('%c' * 400) %}{% endfor %}", limits), steps);
}

TEST(Template, ManyNamesAreChargedFor) {
  std::string source;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&source, "{% set a", i, " = 1 %}");
  Limits limits;
  limits.steps = 1'000'000;  // ten times what it would be without
  EXPECT_EQ(Rendered(source, limits).substr(0, 45), "line 1: the template takes more than 1000000 ");
  std::string named = "{% macro m() %}{{ kwargs | length }}{% endmacro %}{{ m(**messages[0]) }}{% set d = namespace(";
  for (int i = 0; i < 5'000; ++i) absl::StrAppend(&named, i == 0 ? "" : ", ", "a", i, "=1");
  EXPECT_EQ(Rendered(named + ") %}{{ d.a4999 }}"), "0:21|");
}

TEST(Template, ErrorsNameLineAndConstruct) {
  EXPECT_EQ(Rendered("\n\n{{ messages[0].x.y }}"), "line 3: 'dict object' has no attribute 'x'");
  EXPECT_EQ(Rendered("\n{{ nothing.x }}"), "line 2: 'nothing' is undefined");
  EXPECT_EQ(Rendered("\n{{ 1 + 'a' }}"), "line 2: `+` is not defined for a int and a str");
  EXPECT_EQ(Rendered("\n{{ 'a' | round }}"), "line 2: the filter `round` is not defined for a str");
  EXPECT_EQ(Rendered("{{ 9223372036854775807 + 1 }}"), "line 1: an integer is beyond 64 bits");
  EXPECT_EQ(Rendered("{{ 1 // 0 }}"), "line 1: division by zero");
  EXPECT_EQ(Rendered("{% macro m(a) %}{% endmacro %}\n{{ m(1, 2) }}"),
            "line 2: the macro `m` takes 1 arguments, not 2");
  EXPECT_EQ(Rendered("{{ messages.append(1) }}"), "line 1: 'list object' has no attribute 'append'");
  EXPECT_EQ(Rendered("{{ 'a'.__class__.__mro__ }}"), "line 1: 'str object' has no attribute '__class__'");
}

TEST(Template, UnknownNamesAreRefusedWhenItIsParsed) {
  EXPECT_EQ(Rendered("\n{{ 1 | frob }}"), "parse: line 2: there is no filter `frob`");
  EXPECT_EQ(Rendered("{% if x is frob %}{% endif %}"), "parse: line 1: there is no test `frob`");
  EXPECT_EQ(Rendered("{% frob %}"), "parse: line 1: there is no tag `frob`");
  EXPECT_EQ(Rendered("{% if x %}\n{% frob %}{% endif %}"),
            "parse: line 2: unexpected tag `frob`, expected `elif` or `else` or `endif` of the `if` in line 1");
  EXPECT_EQ(
      Rendered("\n{{ frob() }}"),
      "parse: line 2: there is no function `frob` (there are cycler, dict, joiner, namespace, raise_exception, range, "
      "strftime_now, and the template's macros)");
  EXPECT_EQ(Rendered("{% if frob is defined %}{{ frob() }}{% endif %}x"), "0:x|");
  EXPECT_EQ(Rendered("{% include 'x' %}"),
            "parse: line 1: the tag `include` is not supported: a chat template has no other files");
}

TEST(Template, AnOpenTagIsNamedWithItsLine) {
  EXPECT_EQ(Rendered("a\n{% for x in y %}\n\n"), "parse: line 2: `for` has no `endfor`");
  EXPECT_EQ(Rendered("\n{% for x in y %}{% else %}\n"), "parse: line 2: `for` has no `endfor`");
  EXPECT_EQ(Rendered("{% if x %}\n{% for x in y %}\n{% endif %}"),
            "parse: line 3: unexpected tag `endif`, expected `endfor` or `else` of the `for` in line 2");
  for (const char* tag : {"if x", "set x", "macro m()", "call m()", "filter upper", "with", "generation"}) {
    const std::string name(tag, strcspn(tag, " "));
    EXPECT_EQ(Rendered(absl::StrCat("\n{% ", tag, " %}\n")),
              absl::StrCat("parse: line 2: `", name, "` has no `end", name, "`"));
  }
}

TEST(Template, NamesOfFiltersAndTestsAreChecked) {
  EXPECT_EQ(Rendered("\n{{ messages | selectattr('role', 'nosuch') | list }}"), "line 2: there is no test `nosuch`");
  EXPECT_EQ(Rendered("{{ [1] | reject('nosuch') | list }}"), "line 1: there is no test `nosuch`");
  EXPECT_EQ(Rendered("{{ [1] | map('nosuch') | list }}"), "line 1: there is no filter `nosuch`");
  EXPECT_EQ(Rendered("{{ [1] | map(2) | list }}"), "line 1: the name of a filter is expected, not a int");
  EXPECT_EQ(Rendered("{{ [1] | select(none) | list }}"), "line 1: the name of a test is expected, not a NoneType");
}

TEST(Template, TheTimeIsTheCallers) {
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(Rendered("{{ strftime_now('%d %b %Y %H %f%Z') }}"), "0:02 Jan 1970 06 000000|");
  EXPECT_EQ(Rendered("{{ strftime_now(messages[0].content) }}"), "1:Hi|");
}

TEST(Template, EveryBoundIsAnErrorThatNamesIt) {
  const std::string steps = "line 1: the template takes more than 10000000 steps";
  const std::string memory = "line 1: the template needs more than 268435456 bytes of memory";
  const std::string loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
  EXPECT_EQ(Rendered(loops), steps);
  EXPECT_EQ(Rendered("{{ 'a' * 500000 ~ 'b' in 'a' * 5000000 }}"), steps);
  EXPECT_EQ(Rendered("{{ ('a' * 5000000).count('a' * 500000 ~ 'b') }}"), steps);
  EXPECT_EQ(Rendered("{{ ('a' * 5000000).rfind('b' ~ 'a' * 500000) }}"), steps);
  EXPECT_EQ(Rendered("{{ ('a' * 5000000) | replace('a' * 500000 ~ 'b', '') }}"), steps);
  EXPECT_EQ(Rendered("{{ ('a' * 5000000).split('a' * 500000 ~ 'b') }}"), steps);
  EXPECT_EQ(Rendered("{{ 'x' * 1000000000 }}"), memory);
  EXPECT_EQ(Rendered("{{ [1] * 1000000000 }}"), memory);
  EXPECT_EQ(Rendered("{{ range(1000000000) | length }}"), "line 1: range() of more than 100000 numbers");
  EXPECT_EQ(Rendered("{{ ('x' * 100000).replace('', 'y' * 100000) }}"), memory);
  EXPECT_EQ(
      Rendered("{% set n = namespace(x=['a' * 99]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}"),
      memory);
  EXPECT_EQ(Rendered("{% set n = namespace(x=[]) %}{% for i in range(200) %}{% set n.x = [n.x] %}{% endfor %}"),
            "line 1: lists and dicts are nested more than 100 deep");
  EXPECT_EQ(Rendered("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
            "line 1: the template nests more than 1000 expressions, blocks and calls");
  EXPECT_EQ(Rendered("{{ '%1000000000d' % 1 }}"), "line 1: format: more than 1000000 characters are asked for");
  EXPECT_EQ(Rendered("{{ 'x'.center(1000000000) }}"), memory);
  EXPECT_EQ(Rendered("{{ [1] | batch(1000000000, 0) | list }}"), memory);
  Limits limits;
  limits.output_bytes = 1000;
  EXPECT_EQ(Rendered("{% for a in range(9999) %}{{ a }}{% endfor %}", limits),
            "line 1: the template writes more than 1000 bytes of output");
}

TEST(Template, NestingOverflowsNoStack) {
  const auto repeat = [](absl::string_view text, int times) {
    std::string repeated;
    for (int i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
    return repeated;
  };
  const std::string expressions = "parse: line 1: expressions and blocks are nested more than 200 deep";
  const std::string expression = "parse: line 1: an expression is nested more than 200 deep";
  EXPECT_EQ(Rendered("{{ " + repeat("(", 100'000) + repeat(")", 100'000) + " }}"), expressions);
  EXPECT_EQ(Rendered("{{ " + repeat("[", 100'000) + repeat("]", 100'000) + " }}"), expressions);
  EXPECT_EQ(Rendered("{{ " + repeat("-", 100'000) + "1 }}"), expressions);
  EXPECT_EQ(Rendered("{{ " + repeat("not ", 100'000) + "1 }}"), expressions);
  EXPECT_EQ(Rendered("{{ " + repeat("a if b else ", 100'000) + "1 }}"), expressions);
  EXPECT_EQ(Rendered(repeat("{% if x %}", 100'000)), expressions);
  EXPECT_EQ(Rendered("{{ 1" + repeat(" + 1", 100'000) + " }}"), expression);
  EXPECT_EQ(Rendered("{{ 'a'" + repeat("|upper", 100'000) + " }}"), expression);
  EXPECT_EQ(Rendered("{{ a" + repeat(".b", 100'000) + " }}"), expression);
  EXPECT_EQ(Rendered("{{ " + repeat("(", 60) + "1" + repeat(")", 60) + " }}"), "0:1|");
}

TEST(Template, WhatRefersToItselfEnds) {
  EXPECT_EQ(Rendered("{% set n = namespace() %}{% set n.n = n %}{% set n.m = [n] %}{% macro m() %}{{ n }}{% endmacro %}"
                     "{% set n.f = m %}{% for x in messages %}{% set n.l = loop %}{{ loop.changed(loop) }}{% endfor %}"
                     "{{ n.l.index }}"),
            "0:TrueFalse2|");
  EXPECT_EQ(
      Rendered("{% set n = namespace() %}{% for x in [1, 2] %}{% macro m() %}{{ x }}{% endmacro %}{% set n.m = m %}"
               "{% endfor %}{{ n.m() }}"),
      "0:2|");
  EXPECT_EQ(
      Rendered(
          "{% set n = namespace() %}{% for x in [1, [2]] recursive %}{% set n.l = loop %}{% endfor %}{{ n.l([]) }}"),
      "");
}

TEST(Template, LongConversationsTakeLinearTime) {
  std::vector<Value> messages;
  for (int i = 0; i < 10'000; ++i) {
    messages.push_back(Value::Dict({{"role", Value::Text(i % 2 == 0 ? "user" : "assistant")},
                                    {"content", Value::Text(std::string(1000, 'x'), 1 + i)}}));
  }
  const Value variables = Value::Dict({{"messages", Value::List(std::move(messages))}});
  const Template parsed = *Template::Parse(
      "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif "
      "%}"
      "{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + '<|im_end|>\\n' }}{% endfor %}");
  const absl::Time begin = absl::Now();
  const auto pieces = parsed.Render(variables, absl::Now());
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  EXPECT_EQ(pieces->size(), 20'001u);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));  // a tenth of a second on an idle machine
}

TEST(Template, OneTemplateServesManyThreads) {
  const Template parsed = *Template::Parse(
      "{% set x = namespace(n=0) %}{% for m in messages %}{% set x.n = x.n + 1 %}{% endfor %}{{ x.n }}");
  const Value variables = Value::Dict({{"messages", Messages()}});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j) EXPECT_EQ((*parsed.Render(variables, absl::Now()))[0].text, "2");
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace kedge::jinja
