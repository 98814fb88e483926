"""Templates of our own: every construct, filter, test, method and operator, with values at their edges."""

VARIABLES = {
    "empty": "", "word": "anchor", "text": " The quick brown\tfox\n\njumps over 3 lazy dogs. ", "wide": "Grüße ß ǅ 世界 🎉 İΣ",
    "lines": "a\r\nb\n\n c\u2028d\x0be", "quotes": "it's \"quoted\" \\ \x01 \u200b\xa0", "number": "42", "html": "<a href=\"x\">&'</a>",
    "zero": 0, "one": 1, "seven": 7, "minus": -3, "large": 9007199254740993, "half": 0.5, "pi": 3.14159, "tiny": 1e-7,
    "huge": 1e16, "negative": -2.5, "yes": True, "no": False, "nothing": None,
    "list": [3, 1, 2], "words": ["b", "A", "c", "a", "B"], "mixed": [1, "x", None, 2.5, True, [1]], "none_at_all": [],
    "pairs": [["a", 1], ["b", 2]], "dict": {"b": 2, "a": 1, "C": 3}, "empty_dict": {},
    "people": [{"name": "Ann", "age": 30, "town": {"name": "Kiel"}}, {"name": "bob", "age": 25, "town": {"name": "Bonn"}},
               {"name": "Cid", "age": 30, "town": {"name": "kiel"}, "nick": None}],
    "nested": {"a": {"b": [1, {"c": "d"}]}, "items": "member", "_secret": "s"},
}

VALUES = sorted(VARIABLES) + ["missing", "'a-b-c'", "-1", "1.0", "(1, 'a')", "{'k': [1, 2]}", "range(4)", "[[1, 2], [3]]"]

FILTERS = [
    "abs", "attr('upper')", "attr('b')", "batch(2)|list", "batch(2, 'x')|list", "capitalize", "center(12)", "center",
    "count", "d('x')", "default('x')", "default('x', true)", "default", "dictsort", "dictsort(true)",
    "dictsort(false, 'value')", "dictsort(reverse=true)", "e", "escape", "first", "float", "float(1.5)", "float('n')",
    "forceescape", "groupby('age')", "groupby('town.name')", "indent", "indent(2)", "indent(2, true)", "indent('> ', true, true)",
    "indent(first=true)", "int", "int(5)", "int(0, 16)", "int(default=-1)", "join", "join(', ')", "join('-', attribute='name')",
    "items|list", "last", "length", "list", "lower", "map('upper')|list", "map(attribute='name')|list",
    "map(attribute='town.name')|join(' ')", "map(attribute='nick', default='-')|list", "map('int')|list", "map('default', 'x')|list",
    "max", "max(attribute='age')", "min", "min(true)", "reject|list", "reject('none')|list", "rejectattr('nick')|list",
    "rejectattr('age', 'gt', 26)|list", "replace('a', 'bb')", "replace('', '.')", "replace('o', '0', 1)", "replace(1, 2)",
    "reverse|list", "reverse|join", "round", "round(1)", "round(2, 'floor')", "round(method='ceil')", "safe", "select|list",
    "select('string')|list", "select('odd')|list", "selectattr('age', 'equalto', 30)|list", "selectattr('nick', 'defined')|list",
    "selectattr('name')|map(attribute='name')|list", "slice(2)|list", "slice(3, 'x')|list", "sort", "sort(true)",
    "sort(case_sensitive=true)", "sort(attribute='name')", "sort(attribute='age,name')", "sort(reverse=true, attribute='age')",
    "string", "sum", "sum(start=10)", "sum(attribute='age')", "title", "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)",
    "tojson(separators=(',', ':'))", "tojson(indent=1, sort_keys=true)", "trim", "trim('ar')", "truncate(10)", "truncate(10, true)",
    "truncate(9, false, '!', 0)", "unique|list", "unique(true)|list", "unique(attribute='age')|list", "upper", "urlencode",
    "wordcount", "format", "format(1)", "first|upper", "list|length", "length > 2", "join|length", "list|first",
    "nosuchfilter", "trim|", "upper()", "upper(1)",
]

TESTS = [
    "boolean", "callable", "defined", "divisibleby 2", "divisibleby(3)", "eq 1", "equalto 'anchor'", "== 1", "even", "false",
    "filter", "float", "ge 1", "gt 1", "greaterthan 1", "in [1, 'anchor', none]", "in 'an anchor'", "integer", "iterable", "le 1",
    "lessthan 1", "lower", "lt 2", "mapping", "ne 1", "none", "number", "odd", "sameas none", "sameas true", "sequence", "string",
    "test", "true", "undefined", "upper", "not none", "not defined", "nosuchtest", "escaped",
]

METHODS = [
    "capitalize()", "center(11)", "center(10, '*')", "count('a')", "count('')", "count('a', 2)", "endswith('r')", "endswith(('x', 'r'))",
    "expandtabs(4)", "find('o')", "find('zz')", "find('a', 1)", "find('r', -2)", "find('', 99)", "format(1, 2)", "index('a')", "isalnum()",
    "isalpha()", "isascii()", "isdecimal()", "isdigit()", "islower()", "isnumeric()", "isprintable()", "isspace()", "istitle()",
    "isupper()", "join(['a', 'b'])", "join('xyz')", "join(words)", "join([1])", "ljust(9)", "ljust(9, '.')", "lower()", "lstrip()",
    "lstrip('an ')", "partition('o')", "partition('zz')", "removeprefix('an')", "removesuffix('or')", "replace('a', 'b')",
    "replace('a', 'b', 1)", "replace('', '-')", "replace('', '-', 3)", "rfind('o')", "rindex('o')", "rjust(9)", "rpartition('o')", "rpartition('zz')",
    "rsplit()", "rsplit(none, 1)", "rsplit(' ', 2)", "rsplit('o')", "rstrip()", "rstrip('.r ')", "split()", "split(' ')", "split('o', 1)",
    "split(maxsplit=1)", "split('')", "split(none, 2)", "splitlines()", "splitlines(true)", "startswith('a')", "startswith(' T')", "startswith('n', 1)",
    "startswith(('x', 'an'))", "strip()", "strip('a r')", "strip(none)", "swapcase()", "title()", "upper()", "zfill(9)", "zfill(2)",
    "items()", "items()|list", "keys()", "keys()|list", "values()", "values()|list", "get('a')", "get('z')", "get('z', 9)", "get(1)", "get([])",
    "copy()", "append(1)", "update({})", "index(1)", "count(1)", "a", "b", "items", "name", "upper", "__class__", "_secret", "b.c", "0", "1.0",
    "nosuch", "nosuch()", "nosuch.more", "a.b[1].c", "format(x=1)",
]

ITEMS = ["0", "-1", "1", "99", "'a'", "'b'", "'items'", "'_secret'", "none", "1.0", "true", "missing", "[1]", "1:", ":1", "-2:", "::2", "::-1",
         "1:3", "3:1:-1", "-99:99", "::0", "none:none", "'a':", "1:missing", ":", "::", "5:1", "-1:-3:-1", "1:-1", "0,1", "''"]

OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]

OPERANDS = ["empty", "word", "'ab'", "zero", "seven", "minus", "half", "negative", "tiny", "huge", "large", "yes", "nothing", "missing",
            "list", "words", "none_at_all", "dict", "(1, 2)", "[1, 'x']", "'%s|%5s'", "9223372036854775807", "2"]

FORMATS = [
    "'%s %r %d %5d|%-5d|%05d|%+d|% d'|format('a', 'b', 1, 2, 3, 4, 5, 6)", "'%x %X %o %#x %#o'|format(255, 255, 8, 255, 8)",
    "'%f %.2f %8.3f %e %.1E %g %G'|format(1.5, 2.345, 3.14159, 12345.678, 0.00012, 1e10, 1e-7)", "'%(a)s %(b)d'|format(a='x', b=2)",
    "'%s'|format([1, 'a', none])", "'%s %%'|format(1)", "'%d'|format(1.9)", "'%d'|format('x')", "'%s %s'|format(1)", "'%s'|format(1, 2)",
    "'%5s|%-5s|%.2s|%5.1s'|format('abc', 'abc', 'abc', 'abc')", "'%c'|format('a')", "'%s' % 'x'", "'%s-%s' % ('a', 1)", "'%(k)s' % {'k': 1}",
    "'%s' % none", "'%d%%' % 50", "'%*d' % (5, 3)", "'%.3d' % 5", "'%i' % true", "'x' % ()", "'x' % []", "'x' % 1", "'%s' % missing",
    "'{} {}'.format(1, 'a')", "'{0} {1} {0}'.format('a', 'b')", "'{a}{b}'.format(a=1, b=none)", "'{:>5}|{:<5}|{:^5}|{:*^7}'.format(1, 2, 3, 'x')",
    "'{:05d} {:+d} {:,} {:_} {:x} {:#x} {:b} {:o}'.format(42, 42, 1234567, 1234567, 255, 255, 5, 8)", "'{:.2f} {:e} {:g} {:%} {:.1%}'.format(1.234, 12345.6, 0.5, 0.25, 0.256)",
    "'{:10.3f}|{:<10.3f}|{:^+10.2f}'.format(3.14159, 3.14159, 3.14159)", "'{!r} {!s}'.format('a', 'b')", "'{{}} {}'.format(1)", "'{'.format(1)", "'}'.format(1)",
    "'{}'.format()", "'{} {0}'.format(1)", "'{0[a]} {0[b]}'.format(dict)", "'{0[1]}'.format(list)", "'{:d}'.format('x')", "'{:s}'.format(1)", "'{:.2}'.format('abc')",
    "'{:>3}'.format(true)", "'{}'.format(true)", "'{:.3}'.format(1234.5)", "'{:.3}'.format(0.5)", "'{:,.2f}'.format(1234567.891)", "'{:5}'.format(none)", "'{:5}'.format('a')", "'{:05}'.format(-3)",
    "'{:05.1f}'.format(-3.14159)", "'{:.0f}'.format(2.5)", "'{:n}'.format(5)", "'{:+}'.format('a')", "'{:=5}'.format(1)",
]


def constructs():
    """Whole templates."""
    return """
a{% if yes %}b{% endif %}c
§a
  {% if yes %}
b
  {% endif %}
c
§  {%+ if yes %}x{% endif +%}
y§{%- if yes -%}  x  {%- endif -%}  y§  {# comment #}
x {#- c -#} y {# {{ no }} #}
z§{# c +#}
x§{{ 1 }}
{{- 2 -}}
{{ 3 }}

§{% raw %}{{ x }}{% if %}{% endraw %}
x§  {% raw %}
  y {{
  {%- endraw -%}  z§{%- raw -%}  a  {% endraw +%}
b§{{ '{{' }}{{ "}}" }}{{ {'a': {}} }}§{{ 'a' 'b' "c" }}§{{ 'x\\ty\\nz\\\\ \\' \\x41 \\u00e9 \\101' }}§{{ "a
b" }}
§{% for x in list %}{{ x }},{% endfor %}§{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}
§{% for x in none_at_all %}x{% else %}none{% endfor %}§{% for x in missing %}x{% else %}none{% endfor %}§{% for x in nothing %}x{% endfor %}§{% for x in 5 %}x{% endfor %}
§{% for c in word %}{{ c }}.{% endfor %}§{% for k in dict %}{{ k }}{% endfor %}§{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}§{% for k, v in dict|items %}{{ k }}={{ v }};{% endfor %}
§{% for a, b in pairs %}{{ a }}{{ b }}{% endfor %}§{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}§{% for a, b in list %}x{% endfor %}
§{% for x in list if x > 1 %}{{ loop.index }}:{{ x }}{{ loop.last }}{{ loop.length }};{% else %}no{% endfor %}§{% for x in list if x > 9 %}x{% else %}no{% endfor %}
§{% set ns = namespace(done=false) %}{% for x in list if not ns.done %}{{ x }}{% set ns.done = true %}{% endfor %}
§{% set ns = namespace(done=false) %}{% for x in list if not ns.done %}{{ x }}{{ loop.last }}{% set ns.done = true %}{% endfor %}
§{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}§{% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %}§{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}
§{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}§{% for x in list %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}§{% break %}
§{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}[{{ loop(x) }}]{% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}§{% for x in list %}{{ loop(list) }}{% endfor %}
§{% for x in list %}{% for y in 'ab' %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}§{% for loop in list %}{% endfor %}
§{% for x in range(3) %}{{ x }}{% endfor %}§{{ range(3)|list }}{{ range(5, 1, -2)|list }}{{ range(0)|list }}{{ range(3)[1] }}{{ range(9)[2:4]|list }}§{{ range(1000000)|length }}
§{% for x in dict.keys() %}{{ x }}{% endfor %}{% for x in dict.values() %}{{ x }}{% endfor %}§{% for x in list|reverse %}{{ x }}{{ loop.length }}{% endfor %}
§{% set g = words|map('upper') %}{{ g|join }}{{ g|join }}§{% set g = words|select %}{{ g|first }}{{ g|first }}{{ g|list }}§{{ (words|select)|length }}§{% if none_at_all|select %}yes{% endif %}§{{ (list|map('string'))[0] }}
§{% set x = 1 %}{{ x }}{% set x = 2 %}{{ x }}§{% set a, b = 1, 2 %}{{ a }}{{ b }}§{% set a, b = [1] %}§{% set x = 1, 2 %}{{ x }}§{% set x %}a {{ word }} b{% endset %}[{{ x }}]§{% set x | upper | replace('A', 'b') %}a {{ word }}{% endset %}[{{ x }}]
§{% set x = 1 %}{% for y in list %}{% set x = y %}{{ x }}{% endfor %}{{ x }}§{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}§{% for y in list %}{{ z }}{% set z = y %}{{ z }}{% endfor %}{{ z }}
§{% set ns = namespace(a=1, b='x') %}{% for y in list %}{% set ns.a = ns.a + y %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}§{% set ns = namespace() %}{% set ns.x = [] %}{% set ns.x = ns.x + [1] %}{{ ns.x }}§{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}
§{% set dict.x = 1 %}§{% set ns = namespace(_x=1) %}§{% set ns = namespace() %}{% set ns._x = 1 %}§{% set missing.x = 1 %}§{% set ns = namespace(a=1) %}{{ ns['a'] }}
§{% with %}x{% endwith %}§{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}§{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% set a = 7 %}{{ a }}{% endwith %}{{ a }}
§{% filter upper %}a {{ word }}{% endfilter %}§{% filter replace('a', 'b') | upper %}a {{ word }}{% endfilter %}§{% filter trim %}  x  {% endfilter %}
§{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='y') }}{{ m() }}{{ m(b=1, a=2) }}{{ m(*[1, 2]) }}{{ m(**{'a': 5}) }}
§{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}§{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}§{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}
§{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}§{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}§{% macro m(a, b=a|upper) %}{{ b }}{% endmacro %}{{ m('q') }}
§{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body {{ word }}{% endcall %}§{% macro m() %}[{{ caller('x', 2) }}]{% endmacro %}{% call(a, b) m() %}{{ a }}-{{ b }}{% endcall %}§{% macro m() %}x{% endmacro %}{% call m() %}b{% endcall %}
§{% macro m() %}[{{ caller() }}]{% endmacro %}{{ m() }}§{% macro fact(n) %}{% if n > 1 %}{{ n }}*{{ fact(n - 1) }}{% else %}1{% endif %}{% endmacro %}{{ fact(5) }}
§{% macro m() %}{{ x }}{% endmacro %}{% set x = 3 %}{{ m() }}§{% macro m() %}{% set x = 3 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{{ x }}§{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1)|upper }}{{ m.name }}
§{% for x in list %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}§{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}o{% endmacro %}{{ outer() }}{{ inner() }}
§{% generation %}x{{ word }}{% endgeneration %}§{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}§{% for m in list %}{% generation %}{{ loop.index }}{{ m }}{% endgeneration %}{% endfor %}
§{% if no %}a{% elif yes %}b{% else %}c{% endif %}§{% if no %}a{% elif zero %}b{% else %}c{% endif %}§{% if missing %}a{% else %}b{% endif %}§{% if no: %}a{% endif %}§{% if %}x{% endif %}
§{{ 'a' if yes else 'b' }}{{ 'a' if no else 'b' }}[{{ 'a' if no }}]{{ 'a' if no else 'b' if yes else 'c' }}§{{ ('a' if no).x }}§{{ 'a' if no else missing.x }}§{{ 'a' if yes else missing.x }}
§{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 1 == 1.0 == true }}{{ 1 in [1] in [true] }}{{ not 1 == 2 }}{{ not yes and no }}§{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 2 ** -1 }}§{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 // -2 }}{{ 7 % -3 }}{{ -7.5 // 2 }}{{ -7.5 % 2 }}
§{{ 1 + 2 ~ 3 * 4 }}{{ 'a' ~ 1 ~ none ~ missing ~ [1] }}§{{ -1|abs }}{{ (-1)|abs }}{{ -seven|string }}§{{ 1 if 2 is even and 3 is odd else 0 }}§{{ not missing is defined }}{{ missing is not defined }}§{{ 1 is 2 is 3 }}
§{{ [1, 2,] }}{{ (1,) }}{{ () }}{{ {} }}{{ {'a': 1,} }}{{ 1, 2 }}§{{ {1: 'a', true: 'b', 1.0: 'c'} }}§{{ {[]: 1} }}§{{ {(1, 2): 'x'}[(1, 2)] }}{{ {(1, 2): 'x'}[1, 2] }}§{{ list.0 }}{{ list[0] }}{{ list[-1] }}{{ nested.a.b.1.c }}{{ nested['a']['b'][1]['c'] }}
§{{ dict.items }}§{{ nested.items is callable }}{{ nested['items'] }}§{{ dict.a is defined }}{{ dict.z is defined }}{{ dict['z'] is defined }}§{{ missing.a }}§{{ missing['a'] }}§{{ nothing.a is defined }}{{ nothing[0] is defined }}§{{ missing() }}§{{ word() }}§{{ word.upper.x is defined }}
§{{ 1_000 }}{{ 0x1f }}{{ 0b101 }}{{ 0o17 }}{{ 1.5e3 }}{{ 1e2 }}{{ 00 }}§{{ 01 }}§{{ 9223372036854775807 }}§{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}§{{ 'a'|upper|lower }}
§{{ raise_exception('no ' ~ word) }}§{{ raise_exception() }}§{{ strftime_now('%Y-%m-%d') }}§{{ strftime_now('%d %b %Y') }}{{ strftime_now('%B %A %j %%') }}§{{ dict(a=1, b=2) }}§{{ namespace is callable }}{{ range is defined }}
§{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}§{% set j = joiner('|') %}{% for x in list %}{{ j() }}{{ x }}{% endfor %}§{% set j = joiner() %}{{ j() }}a{{ j() }}b
§{% print 1, word %}§{% nosuchtag %}§{% if yes %}§{% endif %}§{{ 1 §{{ }}§{% for x in list %}{% endif %}§{# §{% set 1 = 2 %}§{{ a b }}§{{ 'x }}§{{ (1 }}§{{ [1) }}§{% for x list %}{% endfor %}§{{ x. }}§{{ x| }}§{{ 1 + }}§{{ $ }}§{% endfor %}
§{% include 'x' %}§{% import 'x' as y %}§{% extends 'x' %}§{% do list.append(1) %}§{{ foo(1) }}§{% if foo is defined %}{{ foo() }}{% endif %}ok§{{ ''.join(words) }}{{ ', '.join(dict) }}§{{ words|join(', ') }}§{{ words[:2]|join }}
§{{ [1, 2] == [1, 2] }}{{ (1, 2) == [1, 2] }}{{ {'a': 1} == {'a': 1.0} }}{{ [1] < [2] }}{{ [1, 'a'] < [1, 'b'] }}{{ 'a' < 'B' }}{{ none == missing }}{{ missing == missing2 }}§{{ none < 1 }}§{{ [1] < ['a'] }}§{{ {} < {} }}§{{ 'a' < 1 }}
§{{ 9223372036854775807 // 1 }}{{ 5 / 2 }}{{ 4 / 2 }}{{ 10 // 3.0 }}{{ 1 / 3 }}{{ 2 / 3 * 1e20 }}{{ 0.1 + 0.2 }}{{ 1e300 * 1e10 }}{{ -0.0 }}{{ 1e15 }}{{ 1e16 }}{{ 0.0001 }}{{ 0.00001 }}§{{ 1 // 0 }}§{{ 1.0 / 0 }}§{{ 0 ** -1 }}§{{ 5 % 0 }}
§{{ true + true }}{{ true * 3 }}{{ -true }}{{ +true }}{{ true ~ 1 }}{{ true == 1 }}{{ [true, none, 1.5, 'a', "it's", 'q"q', "both'\\"", '\\n\\t\\\\'] }}§{{ 'ab' * 3 }}{{ 3 * 'ab' }}{{ [1] * 2 }}{{ 'a' * -1 }}{{ 'a' * true }}§{{ 'a' + 1 }}§{{ [1] + (2,) }}§{{ {} + {} }}
§   {% if yes %}   
   x
   {%- endif %}   
   y§a   {% set x = 1 %}   b§{% if yes %}
{% endif %}
{% if yes %}

{% endif %}§x
  {{ 1 }}
  {% set y = 1 %}
  {{ 2 }}§\t {% if yes %}\t\n\tx\t{% endif %}§a\r\nb\rc\n\n§{%if yes%}x{%endif%}{%-if yes-%}y{%-endif-%}§{{'a'}}{{-'b'-}}§{% if yes -%}
  x
{%- endif %}

y
§{{ word[0] }}{{ wide[0] }}{{ wide[-1] }}{{ wide[2:9] }}{{ wide[::-1] }}{{ wide|length }}{{ wide|upper }}{{ wide|lower }}{{ wide|title }}{{ wide.title() }}{{ wide|capitalize }}
§{{ people|selectattr('age', 'gt', 26)|map(attribute='name')|join(',') }}{{ people|map(attribute='town')|map(attribute='name')|list }}{% for age, group in people|groupby('age') %}{{ age }}{{ group|length }}{% endfor %}
§{{ people|tojson }}{{ wide|tojson }}{{ quotes|tojson }}{{ html|tojson }}{{ mixed|tojson(indent=4) }}{{ {}|tojson(indent=4) }}{{ []|tojson(indent=2) }}{{ (1, 2)|tojson }}{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}§{{ missing|tojson }}§{{ range(2)|tojson }}§{{ dict.items()|tojson }}
§{{ words|sort|join }}{{ words|unique|join }}{{ list|sort|first }}{{ list|max }}{{ []|max is defined }}{{ mixed|length }}{{ dict|length }}{{ dict|first }}{{ dict|last }}{{ dict|list }}§{{ mixed|sort }}§{{ list|sum / list|length }}
§{%- for m in people -%}
{{- '<' + m['name'] + '>' + (m.nick or 'x')|trim + '\\n' -}}
{%- if not loop.last %},{% endif -%}
{%- endfor -%}§{% set x = people[0] %}{% if 'nick' in x and x.nick is not none %}a{% elif x.get('age') %}b{% endif %}
§{% if word is string and word is not mapping %}x{% endif %}{{ word in ['anchor'] }}{{ 'nch' in word }}{{ 'a' in dict }}{{ 5 not in list }}{{ 'x' not in missing }}§{{ 1 in word }}§{{ 1 in 5 }}§{{ [] in dict }}
§{{ lines.splitlines() }}{{ lines|indent(2) }}{{ text|trim|title }}{{ quotes }}{{ [quotes] }}{{ html|e }}{{ text.split() }}{{ text|wordcount }}§{{ 'a,b,,c'.split(',') }}{{ 'a  b'.split(' ') }}{{ ' a b '.split() }}{{ 'abc'.split('b', 0) }}{{ ' a b c '.rsplit(none, 0) }}{{ ' a b c '.split(none, 0) }}
""".replace("\n§", "§").strip("\n").split("§")


def systematic():
    """Every filter, test, method, subscript and operator, on every value."""
    for value in VALUES:
        for name in FILTERS:
            yield "{{ %s|%s }}" % (value, name)
        for name in TESTS:
            yield "{{ %s is %s }}" % (value, name)
        for name in METHODS:
            if value == "missing" and name == "__class__":
                continue  # undefined to jinja2, an error to us
            yield "{{ %s.%s }}" % (value, name)
        for item in ITEMS:
            # (`or`: jinja2 computes slices of constants in advance, and then by other rules.)
            yield "{{ (missing or %s)[%s] }}" % (value, item)
    for left in OPERANDS:
        for operator in OPERATORS:
            for right in OPERANDS:
                if (operator, right) in (("**", "huge"), ("**", "large"), ("*", "large"), ("**", "9223372036854775807"),
                                         ("*", "9223372036854775807")) or (operator == "*" and left in ("large", "9223372036854775807")):
                    continue  # Python would take all memory
                yield "{{ %s %s %s }}" % (left, operator, right)
    for format in FORMATS:
        yield "{{ %s }}" % format


class Generator:
    """Expressions at random."""

    def __init__(self, draw):
        self.draw = draw

    def expression(self, depth):
        kind = self.draw.randrange(12) if depth > 0 else 0
        inner = lambda: self.expression(depth - 1)  # noqa: E731
        if kind <= 1:
            return self.draw.choice(VALUES + OPERANDS[:20])
        # What jinja2 refuses only where it is reached (names that there are not) or prints with an address is left out.
        if kind <= 3:
            return f"({inner()})|{self.draw.choice([f for f in FILTERS if f != 'nosuchfilter'])}"
        if kind == 4:
            return f"({inner()}).{self.draw.choice([m for m in METHODS if m not in ('__class__', 'upper', 'items')])}"
        if kind == 5:
            return f"(missing or {inner()})[{self.draw.choice(ITEMS)}]"
        if kind == 6:
            return f"({inner()}) is {self.draw.choice([t for t in TESTS if t != 'nosuchtest'])}"
        if kind == 7:
            operator = self.draw.choice([o for o in OPERATORS if o not in ("**", "*")])
            return f"({inner()}) {operator} ({inner()})"
        if kind == 8:
            return f"({inner()}) if ({inner()}) else ({inner()})"
        if kind == 9:
            return f"[{inner()}, {inner()}]"
        if kind == 10:
            return f"({inner()}) ~ ({inner()})"
        return f"not ({inner()})"

    def template(self):
        kind = self.draw.randrange(5)
        if kind == 0:
            return "{%% for x in %s %%}{{ loop.index }}{{ x }},{%% else %%}-{%% endfor %%}" % self.expression(2)
        if kind == 1:
            return "{%% set x = %s %%}{%% if x %%}{{ x }}{%% else %%}no{%% endif %%}" % self.expression(2)
        return "{{ %s }}" % self.expression(3)


def origin_template(draw):
    """What a template may do with messages, so that no byte may lose where it came from."""
    changes = ["", "|trim", "|upper", "|lower", "|title", "|capitalize", "|replace(' ', '_')", "[::-1]", "[1:-1]", "[::2]", "|reverse", "|tojson",
               "|string", "|list|join('-')", ".split()|join('+')", ".strip()", ".title()", ".swapcase()", "|indent(2, true)", "|center(9)", ".ljust(9, '.')",
               "|truncate(5, true, '~', 0)", ".partition(' ')|join('|')", ".splitlines()|join", " * 2", " + '!'", " ~ 1 ~ none", "|e", "|default('x')",
               ".replace('', '.')", "|map('upper')|join", ".zfill(12)", ".rsplit(none, 1)|last|default('-')", "|first|default('')", "|batch(2)|map('join')|join('/')",
               ".expandtabs()", ".removeprefix('q')", "|select|join", "|sort|join", "|unique|join"]
    body = []
    for _ in range(draw.randrange(1, 5)):
        field = draw.choice(["m.content", "m['role']", "m.parts|join(';')", "m.parts[0]"])
        change = draw.choice(changes)
        kind = draw.randrange(8)
        if kind == 0:
            body.append("{{ ('%%s<%%5s>'|format((%s)%s, 'k')) }}" % (field, change))
        elif kind == 1:
            body.append("{%% set t %%}[{{ (%s)%s }}]{%% endset %%}{{ t[1:] }}" % (field, change))
        elif kind == 2:
            body.append("{%% filter replace('x', 'y') %%}x{{ (%s)%s }}{%% endfilter %%}" % (field, change))
        elif kind == 3:
            body.append("{{ wrap((%s)%s) }}" % (field, change))
        elif kind == 4:
            body.append("{%% for c in (%s)%s %%}{{ c }}.{%% endfor %%}" % (field, change))
        elif kind == 5:
            body.append("{{ '{}={:>4}'.format('k', (%s)%s) }}" % (field, change))
        elif kind == 6:
            body.append("{{ {'key': (%s)%s}|string }}{{ {'k': [m.content]}|tojson(indent=1) }}" % (field, change))
        else:
            body.append("{{ (%s)%s }}" % (field, change))
    return ("{% macro wrap(x) %}<{{ x }}>{% endmacro %}{% set ns = namespace(all='') %}{% for m in messages %}" + "".join(body) +
            "{% set ns.all = ns.all + m.content %}{% endfor %}{{ ns.all }}{{ messages|map(attribute='content')|join(' ')|upper }}{{ messages }}")
