// Fuzz target of Template: bytes are a template, or behind a zero byte the variables as JSON. Whatever is accepted is
// rendered within small limits, and every piece is UTF-8 of a known origin.
#include <nlohmann/json.hpp>

#include "common/base/check.h"
#include "common/base/utf8.h"
#include "common/jinja/template.h"
#include "common/testing/fuzz_driver.h"

using kedge::jinja::Template;
using kedge::jinja::Value;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(data, data + size);
  const size_t zero = input.find('\0');
  const absl::StatusOr<Template> parsed = Template::Parse(input.substr(0, zero));
  if (!parsed.ok()) return 0;
  const std::string json_text = zero == std::string::npos
                                    ? R"({"role": "user", "content": "a <b> \u00e9", "n": [1, 2.5]})"
                                    : input.substr(zero + 1);
  const auto json = nlohmann::ordered_json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  const absl::StatusOr<Value> message = Value::FromJson(json, 7);
  if (!message.ok()) return 0;
  kedge::jinja::Limits limits;
  limits.steps = 20'000;
  limits.output_bytes = 1 << 16;
  limits.memory_bytes = 1 << 20;
  const Value variables =
      Value::Dict({{"messages", Value::List({*message, *message})}, {"bos_token", Value::Text("<s>")}});
  const auto pieces = parsed->Render(variables, absl::UnixEpoch(), limits);
  if (!pieces.ok()) return 0;
  size_t bytes = 0;
  for (const kedge::jinja::Piece& piece : *pieces) {
    KEDGE_CHECK(piece.origin == kedge::jinja::kTemplate || piece.origin == 7);
    KEDGE_CHECK(!kedge::FindInvalidUtf8(piece.text).has_value());
    KEDGE_CHECK(!piece.text.empty());
    bytes += piece.text.size();
  }
  KEDGE_CHECK(bytes <= limits.output_bytes);
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  return {
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m.content | trim }}{% endfor %}",
      "{%- if messages[0].role == 'system' -%}{% set s = messages[0]['content'] %}{% else %}{% set s = '' %}{%- endif "
      "-%}{{ s }}",
      "{% set ns = namespace(a=1, b=[]) %}{% for x in range(5) if x % 2 %}{% set ns.a = ns.a * 3 - x // 2 ** 2 %}{% "
      "endfor %}{{ ns.a }}",
      "{% macro m(a, b=2) %}{{ a ~ b }}{{ caller() if caller }}{% endmacro %}{% call m(1) %}x{% endcall %}{{ m(*[1], "
      "**{'b': 3}) }}",
      "{{ messages | tojson(indent=2) }}{{ messages[::-1] | map(attribute='role') | join(', ') | upper }}",
      "{{ '%5.2f|%s' % (1.5, none) }}{{ '{:>5}{0!r}'.format('x') }}{{ messages[0].content.split(' ', 1)[-1][1:] }}",
      "{# c #}{% raw %}{{ x }}{% endraw %}{% filter replace('a', 'b') %}a{% endfilter %}{% with x = 1 %}{{ x is odd "
      "}}{% endwith %}",
      "{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is iterable else x }}{{ loop.last }}{% else %}none{% "
      "endfor %}",
      std::string("{{ messages[0] | dictsort | list }}\0{\"a\": [1, {\"b\": null}], \"c\": \"\\u20ac\"}", 70),
  };
}
