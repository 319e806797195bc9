#!/usr/bin/env python3
"""Writes what Jinja2 makes of templates of our own: goldens/data/chat/cases.jsonl, conversations.jsonl, and
the fuzz target's corpus of them. Needs Jinja2 3.1.

usage: make_cases.py
"""

import json
import pathlib

import conversations

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / 'tests' / 'goldens' / 'data' / 'chat'
CORPUS = ROOT / 'tests' / 'fuzz' / 'corpus' / 'chat'

VARIABLES = {'s': 'Hello, Wörld', 'e': '', 'n': 7, 'f': 2.5, 'l': [3, 1, 2], 'd': {'b': 1, 'a': 'x', 'items': 5}, 'no': None,
             'yes': True, 'off': False, 'ms': [{'role': 'user', 'content': 'a', 'n': 2}, {'role': 'assistant', 'content': 'B', 'n': 1}],
             'nested': {'k': [1, {'z': [None, True, 1.0, 'q"']}]}, 'lines': 'one\n\n  two\nthree\n', 'words': '  a b   c '}

EXPRESSIONS = '''
s|n|f|l|d|no|yes|off|ms|nested|missing
1+2*3|(1+2)*3|7//2|-7//2|7%3|-7%3|7/2|2**10|2**-1|2**3**2|-2**2|7.0//2|-7.5%2|1e3|1e16|1e-5|0.1+0.2|1.0|123456789.125|1/3|10**18
1_000|0x1f|0b101|0o17|1.5e-7|5e-324|1e22|-0.0
yes+1|no ~ 1|s ~ n ~ f ~ yes|missing ~ 'x'|'a' 'b'|'a' * 3|[1] * 2|l + [4]|(1,)|(1,2)+(3,)|()|[]|{}|{'a':1,'b':[2]}|{1:2,none:3}
n > 3|n >= 7|n < 3|n == 7.0|n != 7|1 < 2 < 3|1 < 3 < 2|'a' < 'b'|[1,2] < [1,3]|1 == true|'1' == 1|no == none|missing == none|missing == missing2
'ell' in s|'x' not in s|3 in l|'a' in d|5 in l|not 3 in l|none in [none]|'' in s|1 in d|'x' in missing
yes and n|off and n|off or n|e or 'fallback'|not e|not s|yes and off or 3|e and missing.x
'a' if yes else 'b'|'a' if off|'a' if off else 'b' if off else 'c'|('x' if n > 3 else 'y') ~ 'z'
l[0]|l[-1]|l[9]|l[1:]|l[:-1]|l[::-1]|l[::2]|s[0]|s[-1]|s[1:4]|s[8:]|s[::-1]|s[:99]|s[5:2]|s[-4:-1]|l[5:]|s[::3]|(1,2,3)[1:]
d.a|d['a']|d.items|d['items']|d.items()|d.nope|d['nope']|d.get('a')|d.get('q')|d.get('q', 4)|d.keys()|list(d)|d|list|d.values()|list
nested.k[1].z|nested['k'][1]['z'][3]|nested.k.1|ms[0].role|ms[0]['content']|missing.x|no.x|n.x|s.x|l.x|l['x']|s[n]|d[l]
s|upper|s|lower|s|length|s|title|s|capitalize|s|trim|words|trim|s|replace('l','L')|s|replace('l','L',1)|s|first|s|last|s|reverse|s|list|s|string
l|sort|l|sort(reverse=true)|l|max|l|min|l|sum|l|join|l|join(', ')|l|length|l|first|l|last|l|reverse|l|list|l|unique|l|count
['b','A','c']|sort|['b','A','c']|sort(case_sensitive=true)|ms|sort(attribute='n')|ms|map(attribute='role')|join(',')|ms|sum(attribute='n')
ms|selectattr('role','equalto','user')|list|ms|rejectattr('role','equalto','user')|list|ms|selectattr('n')|list|length|ms|map(attribute='x',default='?')|list
l|select('odd')|list|l|reject('odd')|list|l|map('string')|list|['a','b']|map('upper')|list|l|select('gt', 1)|list|l|select('in',[1,2])|list
ms|selectattr('q')|length|l|select('odd')|length|d|dictsort|d|dictsort(reverse=true)|{'b':1,'a':2}|dictsort(false,'value')|d|length|d|items|list
d|tojson|nested|tojson|nested|tojson(indent=2)|s|tojson|s|tojson(ensure_ascii=true)|d|tojson(sort_keys=true)|l|tojson(indent=4)|[]|tojson(indent=2)|{}|tojson|no|tojson|1.0|tojson|1e20|tojson|'a\\u2028\\x07\\x7f'|tojson|d|tojson(separators=(',',':'))|missing|tojson|(1,2)|tojson
missing|default('x')|e|default('x')|e|default('x',true)|no|default('x')|no|d('x',true)|missing|d|n|default(1)
'3'|int|'3.7'|int|'x'|int|'x'|int(5)|3.9|int|-3.9|int|yes|int|' 4 '|int|'1.5'|float|'x'|float|n|float|'1e3'|float|n|abs|-3|abs|(-3)|abs|-2.5|abs
2.5|round|3.5|round|2.567|round(2)|2.1|round(method='ceil')|2.9|round(0,'floor')|7|round|n|string|l|string|f|string
lines|indent|lines|indent(2)|lines|indent(2,true)|lines|indent(2,blank=true)|lines|indent('> ')|lines|wordcount|'ab'|center(7)|'abc'|center(8)
'<a & "b">'|escape|'<'|e|'<'|safe|'<b>'|safe + '<'|'%s-%d'|format('a',3)|'%s' % s|'%d%%' % 5|'%s %s' % ('a','b')|'%.2f' % f|'%05d' % n|'%x' % 255
l|batch(2)|list|l|batch(2,0)|list|'abc'|batch(2)|list|[1,2,1]|unique|list|['a','A']|unique|list
s.upper()|s.lower()|words.strip()|words.lstrip()|words.rstrip()|'xxaxx'.strip('x')|s.startswith('Hell')|s.endswith(('d','x'))|s.startswith('x')
s.split(', ')|words.split()|words.split(' ')|'a,b,c'.split(',',1)|'a,b,c'.rsplit(',',1)|' a b c '.split(none,1)|'a,b'.split(',')[-1]|''.split()|''.split(',')|'a  b '.split(none, 1)|'x y  z '.split(maxsplit=1)
s.replace('l','')|s.replace('l','r',1)|'aaa'.replace('','-')|s.find('l')|s.find('q')|s.rfind('l')|s.index('W')|s.index('q')|s.count('l')|s.count('')|s.title()|s.capitalize()|s.swapcase()
', '.join(['a','b'])|''.join(l)|lines.splitlines()|lines.splitlines(true)|'a-b-c'.partition('-')|'a-b-c'.rpartition('-')|'ab'.partition('-')|'ab'.rpartition('-')|'ab'.removeprefix('a')|'ab'.removesuffix('b')
'12'.isdigit()|''.isdigit()|'a1'.isalnum()|'ab'.isalpha()|' '.isspace()|'AB'.isupper()|'ab'.islower()|'a'.ljust(3,'.')|'a'.rjust(3)|'a'.center(4,'*')|'7'.zfill(3)
'{} {}'.format('a',1)|'{1}{0}'.format('a','b')|'{x}'.format(x=3)|'{{}}'.format()|'straße'.upper()|'ÀÉ'.lower()|'İ'.lower()|'ǆ'.title()
l.count(1)|l.index(2)|l.append(1)|d.update({})|d.pop('a')|d.copy()|l.index(99)
s is string|n is number|n is integer|f is float|yes is boolean|yes is number|no is none|missing is defined|s is defined|missing is undefined|l is iterable|s is iterable|d is iterable|n is iterable|l is sequence|d is sequence|n is sequence|s is sequence|d is mapping|l is mapping
n is odd|n is even|n is divisibleby 7|n is divisibleby(2)|yes is true|yes is false|off is false|n is eq 7|n is equalto(7)|n is ne 7|n is gt 3|n is lt 3|n is in [7]|n is not in [7]|n is sameas 7|'upper' is filter|'odd' is test|'nope' is filter|s is not string|'a' is lower|'A' is upper|range is callable|s is callable|missing is none|missing is string|no is not none and yes
range(3)|list|range(1,4)|list|range(5,0,-2)|list|range(3)[1]|dict(a=1,b=2)|dict({'x':1},y=2)|namespace(a=1).a|strftime_now('%Y-%m-%d')|strftime_now('%d %b %Y %H:%M:%S')|strftime_now('%A %B %j %y %I %p %%')|strftime_now('%a %-d %e')|raise_exception('no')
1 + 'a'|'a' + 1|missing + 1|none + 1|[1] + (2,)|1 < 'a'|-'a'|missing()|s()|n.x.y|1/0|1//0|1%0|l|nosuch|n is nosuch|s|length|n|length|none|length|s.nosuch()|for|1 +|(1|[1|{'a'|'a|'\\n'|"\\t'x'"|'\\x41\\u00e9\\101'|'\\q'|"it's"|'say "x"'|["it's", 'a"b', '\\n\\\\', 'é\\u200b']
loop|self|caller|true|True|none|None|false|nonesuch.a.b|[missing]|{'a': missing}|[no, yes, 1.5]|(l, d)|[[]]|not not 1|- 1|+ 1|--1|1 - -1|1 if 1 else 2 if 0 else 3
'a' ~ 1 + 2|1 + 2 ~ 3|'x' ~ 2 * 3|not 1 == 2|1 in [1] and 2 in [2]|n|string|length|(n|string)[0]|'abc'|list|join('-')|'a b'.split()|map('upper')|join|s.split(',')[0].strip()|[1,2,3][1]|{'a':{'b':2}}.a.b|{'a':1}['a']|(1 if yes else 2) + 1|'%s' % (1,)|'%s' % [1,2]
'''

STATEMENTS = r'''
{% for x in l %}{{ x }}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}
{% for x in [] %}a{% else %}none{% endfor %}
{% for x in missing %}a{% else %}none{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% else %}no{% endfor %}
{% for x in l if x > 9 %}{{ x }}{% else %}no{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for c in 'aé世' %}[{{ c }}]{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% for y in l %}{{ loop.index }}{% if y == 1 %}{% break %}{% endif %}{% endfor %}|{{ loop.index }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}
{% for x in l %}{{ loop.previtem is defined }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}
{% for a, b in [(1,2),(3,4)] %}{{ a + b }} {% endfor %}
{% for a, b in [(1,2,3)] %}{{ a }}{% endfor %}
{% for a, b in [(1,)] %}{{ a }}{% endfor %}
{% for x in n %}{% endfor %}
{% set a = 1 %}{% for x in l %}{% set a = x %}{% endfor %}{{ a }}
{% set ns = namespace(a=1, b=[]) %}{% for x in l %}{% set ns.a = ns.a + x %}{% set ns.b = ns.b + [x] %}{% endfor %}{{ ns.a }}{{ ns.b }}
{% for x in l %}{% if loop.first %}{% set q = 1 %}{% endif %}{{ q }}-{% endfor %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a = (1, 2) %}{{ a }}
{% set a = 1, %}{{ a }}
{% set x %}text {{ n }}{% endset %}[{{ x }}]
{% set x | upper | trim %} text {% endset %}[{{ x }}]
{% if n == 1 %}a{% elif n == 7 %}b{% else %}c{% endif %}
{% if missing %}a{% elif off %}b{% elif yes %}d{% else %}c{% endif %}
{% if no %}a{% endif %}end
{% if yes %}{% set z = 5 %}{% endif %}{{ z }}
{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=3) }}|{{ m(b=4, a=0) }}|{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(q=2) }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}
{% macro m(n) %}{% if n > 0 %}{{ n }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(4) }}
{% macro w(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call w('b') %}in{{ n }}{% endcall %}
{% macro w() %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(y) w() %}[{{ y }}]{% endcall %}
{% set g = 3 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 4 %}{{ m() }}
{% macro m() %}{% set inner = 1 %}{% endmacro %}{{ m() }}{{ inner }}
{% macro m(x) %} {{ x }} {% endmacro %}{{ m('a')|trim ~ '!' }}
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% generation %}x{{ n }}{% set hidden = 1 %}{% endgeneration %}{{ hidden }}
{% raw %}{{ not }} {% if %}{% endraw %}
{%- raw -%}  {{ a }}  {%- endraw -%}  x
a {# comment #} b
a {#- comment -#} b
{{ '{{' }}{{ "}}" }}{{ {'a': {'b': 1}} }}
  {% if yes %}
    x
  {% endif %}
y
  {%- if yes -%}
    x
  {%- endif -%}
y
  {%+ if yes %}
x
  {%+ endif +%}
y
x {{- n -}} y
{% if yes +%}

a{% endif %}
   {# c #}
a
 {% set a = 1 %} {% set b = 2 %}
z
a
{% for x in l %}
  {{ x }}
{% endfor %}
b
{%- for x in l %}
{{- x -}}
{%- endfor %}
{% set sel = ms|selectattr('role', 'equalto', 'zzz') %}{% if sel %}yes{% endif %}
{% set gen = l|map('string') %}{{ gen|join(',') }}{{ gen|join(',') }}{{ gen|first }}
{% set d2 = dict(d, q=1) %}{{ d2.q }}{{ d.q }}
{% set s.x = 1 %}
{% set ns = namespace() %}{{ ns.x }}{% set ns.x = 1 %}{{ ns.x }}{{ ns['x'] }}{{ ns.x is defined }}{{ ns.y is defined }}
{% break %}
{% endif %}
{% if %}{% endif %}
{% nosuch %}
{% for x in l %}
{{ x
{% set x = %}
{{ 1, 2 }}
{{ n.__class__ }}
{{ s.__len__ }}
{{ ''.__class__.__mro__ }}
{{ d.__class__ }}
{% for m in ms %}{{ '<|' + m['role'] + '|>' + m.content|trim }}{% if not loop.last %},{% endif %}{% endfor %}{{ '<|a|>' if add_generation_prompt }}
{% for m in ms %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}{{ loop.index0 }}{% endfor %}
{%- set ns = namespace(i=0) -%}{%- for m in ms[::-1] %}{%- set ns.i = (ms|length - 1) - loop.index0 -%}{{ ns.i }}{%- endfor -%}
{% for x in [1,[2,[3]],4] recursive %}{{ loop.depth }}{{ loop.depth0 }}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}
{% for m in nested.k recursive %}{% if m is mapping %}{{ loop(m.z) }}{% else %}<{{ m }}>{% endif %}{% else %}none{% endfor %}
{% for x in l recursive %}{{ x }}{% if loop.depth < 3 and loop.first %}[{{ loop(l) | trim }}]{% endif %}{% endfor %}
{% for x in l if x > 1 recursive %}{{ x }}{% if loop.depth < 2 %}[{{ loop([0, 1, 5]) }}]{% endif %}{% endfor %}
{% for x in [[], [1]] recursive %}{{ loop(x) if x is iterable else x }}{% else %}empty{% endfor %}
{% for x in l %}{{ loop(l) }}{% endfor %}
{% for x in l %}{% for y in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{% endfor %}
{% set q = 1 %}{% for x in [1,[2]] recursive %}{% set q = q + 1 %}{{ q }}{% if x is iterable %}{{ loop(x) }}{% endif %}{% endfor %}{{ q }}
{% for x in [1, [2]] recursive %}{% for y in [x] %}{{ loop.depth }}{% if x is iterable %}{{ loop(x) }}{% endif %}{% endfor %}{% endfor %}
{% for a, b in [(1, [(2, [])])] recursive %}{{ a }}{{ loop(b) }}{% endfor %}
{% for x in [1] recursive %}{{ loop() }}{% endfor %}
{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(*[1, 2, 3]) }}|{{ m(0, *l) }}|{{ m(*[1], **{'b': 5, 'c': 6}) }}|{{ m(**{'a': 1}) }}|{{ m(1, x=1, *[9], **{'y': 2}) }}
{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2, 3]) }}
{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1, **{'b': 3}) }}{{ m(**{'q': 3}) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(a=1, **{'a': 2}) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**{1: 2}) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**l) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*n) }}
{{ range(*[1, 5]) | list }}{{ dict(**{'a': 1}, ) }}{{ dict(**d).a }}{{ '%s-%s' | format(*[1, 2]) }}{{ s.replace(*['l', 'L']) }}{{ l | join(*[', ']) }}{{ 5 is divisibleby(*[5]) }}
{{ f(*l, 1) }}
{{ range(*l, *l) }}
{{ range(**d, 1) }}
{{ range(**d, **d) }}
{% macro m(a, b=1) %}{{ caller() }}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m.nope }}
{% macro m(a, *b) %}{% endmacro %}
{% macro w() %}{{ caller(1, 2, x=3) }}{% endmacro %}{% call(*r) w() %}{% endcall %}
{% macro w() %}{{ caller(1, 2, x=3) }}{% endmacro %}{% call(a) w() %}{{ a }}{{ varargs }}{{ kwargs }}{% endcall %}
{% macro w(a) %}{{ a }}{{ caller() }}{% endmacro %}{% call w(*['q']) %}in{% endcall %}{% call w(**{'a': 'z'}) %}in{% endcall %}
{% block a %}{{ n }}{% set v = 1 %}{% endblock %}{{ v }}{% set w = 3 %}{% block b %}{{ w }}{% endblock b %}
{% for x in l %}{% block c scoped %}{{ x }}{% endblock %}{% endfor %}
{% for x in l %}{% block c %}[{{ x }}]{% endblock %}{% endfor %}
{% block a %}{% endblock %}{% block a %}{% endblock %}
{% block a %}{% block b %}x{{ n }}{% endblock %}{% endblock a %}
{% block a %}{% endblock b %}
{% autoescape false %}{{ '<' }}{% set hid = 1 %}{% endautoescape %}{{ hid }}
{% filter indent(2, true) | upper %}a{{ '\n' }}b{% endfilter %}
{% filter nosuch %}a{% endfilter %}
{% for g in ms | groupby('role') %}{{ g.grouper }}{{ g.list }}{{ g[0] }}{{ g }}{% endfor %}
{% for k, v in [{'a': 'x'}, {'a': 'X', 'n': 1}, {'a': 'b'}, {}] | groupby('a', default='c') %}{{ k }}={{ v }};{% endfor %}
{% for k, v in [{'a': 'x'}, {'a': 'X'}, {'a': 'b'}] | groupby('a', case_sensitive=true) %}{{ k }}={{ v | length }};{% endfor %}
{{ ms | groupby(attribute='n') | map(attribute='grouper') | list }}{{ ms | groupby('n') | map('first') | list }}{{ [[1, 2], [1, 3], [0, 4]] | groupby(0) }}{{ [] | groupby('a') }}
{{ [{'a': 1}, {}] | groupby('a') }}
{{ l | slice(2) | list }}{{ l | slice(2, 'x') | list }}{{ range(10) | slice(4) | list }}{{ range(10) | slice(4, 0) | list }}{{ [] | slice(3) | list }}{{ [] | slice(3, 1) | list }}{{ l | slice(7, 'f') | list }}{{ 'abcde' | slice(2) | list }}
{{ l | slice(0) | list }}
{{ l | slice(-1) | list }}
{{ s | truncate(8) }}|{{ s | truncate(8, true) }}|{{ s | truncate(6, true, '!') }}|{{ s | truncate(5, false, '..', 0) }}|{{ s | truncate(12, leeway=0) }}|{{ s | truncate(300) }}|{{ 'foo bar baz qux' | truncate(9) }}|{{ 'foo bar baz qux' | truncate(9, true) }}|{{ 'foo bar baz qux' | truncate(11) }}|{{ 'foo bar baz qux' | truncate(11, false, '...', 0) }}|{{ 'äöüäöüäöüäöüäöü' | truncate(5, leeway=0) }}
{{ s | truncate(2) }}
{{ n | truncate(2) }}
{{ s | urlencode }}|{{ 'a/b c?d=é&~-_.' | urlencode }}|{{ d | urlencode }}|{{ {'a b': '/é', 'c': none} | urlencode }}|{{ [('x', 1), ('y', 'z w')] | urlencode }}|{{ n | urlencode }}|{{ '' | urlencode }}|{{ {} | urlencode }}
{{ l | urlencode }}
{{ {'class': 'a "b"', 'id': none, 'x': missing, 'n': 1, 'd-e': '<&>'} | xmlattr }}|{{ {'a': 1} | xmlattr(false) }}|{{ {} | xmlattr }}|{{ {'a': '<' | safe, 'b': '<' | e} | xmlattr }}
{{ {'a b': 1} | xmlattr }}
{{ {'a>': 1} | xmlattr }}
{{ l | xmlattr }}
{{ [0, 1, 2, 999, 1000, 1024, 123456, 1e6, 12345678, 1e9, 1e12, 1e15, 1e18, 1e21, 1e24, 1e27, 999999, 0.5, 1.5, -3] | map('filesizeformat') | join('|') }}
{{ [0, 1, 1023, 1024, 1536, 123456, 1048576, 12345678, 1e9, 1e12, 1e15, 1e18, 1e21, 1e24, 1e28] | map('filesizeformat', true) | join('|') }}{{ '2048' | filesizeformat }}
{{ 'ab' | filesizeformat }}
{{ '<p>a <b>b</b>\n c</p><!-- x > y -->d &amp; &lt;e&gt; <br' | striptags }}|{{ 'a < b > c' | striptags }}|{{ '<!-- a' | striptags }}|{{ '  a   b ' | striptags }}|{{ n | striptags }}|{{ 'R&D & x' | replace('&D', '& D') | striptags }}
{{ 'the quick brown-fox jumps over the lazy-dog-and -- a-b c--d e---f well-known' | wordwrap(10) }}
{{ 'the quick brown-fox jumps over the lazy-dog-and -- a-b c--d e---f well-known' | wordwrap(7) }}
{{ 'abcdefghijklmnop qrs-tuvwxyzabcdef x' | wordwrap(5) }}|{{ 'abcdefghijklmnop qrs x' | wordwrap(5, false) }}|{{ 'ab-cdefghij-klmnop' | wordwrap(5) }}|{{ 'ab-cdefghij-klmnop' | wordwrap(5, break_on_hyphens=false) }}|{{ '-----a ----- b' | wordwrap(3) }}
{{ '  lead  and   trail   \n\n next\tline  x' | wordwrap(8) }}|{{ 'a b c d' | wordwrap(3, wrapstring='<br>') }}|{{ '' | wordwrap }}|{{ 'aaa bbb' | wordwrap(3) }}|{{ 'aaa        bbb' | wordwrap(5) }}|{{ 'abc   defghijk' | wordwrap(6) }}|{{ 'abcdef ghijklmnopq' | wordwrap(7) }}|{{ 'ä-ö überlänge-straße 世界-世界 x' | wordwrap(6) }}
{{ "it's (self-made) 'well-done' e-mail 1-2-3 a--b-c x-1y foo-bar2 semi-" | wordwrap(4) }}
{{ lines | wordwrap(2) }}|{{ (s ~ ' ' ~ s ~ '-' ~ s) | wordwrap(11) }}|{{ 'one two three' | wordwrap(1) }}
{{ s | wordwrap(0) }}
{{ '0x1F' | int(0, 16) }}{{ 'ff' | int(base=16) }}{{ '0b11' | int(0, 2) }}{{ '17' | int(0, 8) }}{{ '0o17' | int(0, 8) }}{{ 'z' | int(7, 36) }}{{ 'xx' | int(7, 16) }}{{ '3.7' | int(0, 16) }}{{ '1_0' | int(0, 16) }}{{ '-a' | int(0, 16) }}{{ '9' | int(5, 8) }}{{ ' a ' | int(0, 16) }}
{{ '<' | e is escaped }}{{ '<' is escaped }}{{ '<' | safe is escaped }}{{ n is escaped }}
{{ 'groupby' is filter }}{{ 'escaped' is test }}{{ ms | map(attribute='role', default='x') | map('upper') | list }}{{ ms | rejectattr('n', 'gt', 1) | map(attribute='content') | list }}{{ ms | selectattr('content') | list | length }}
{{ [3, 1, 2] | batch(2, 'x') | map('join', '-') | join('|') }}{{ l | sum(start=10) }}{{ [[1], [2]] | sum(start=[]) }}{{ ms | sum('n', 5) }}{{ [1.5, 2] | sum }}
{{ 'ab' | center }}|{{ 'x' | center(width=4) }}|{{ l | unique(attribute='x') | list }}|{{ ['b', 'B', 'a'] | unique(true) | list }}|{{ {'b': 1, 'A': 2} | dictsort }}|{{ {'b': 1, 'A': 2} | dictsort(true) }}|{{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }}
'''

TEMPLATES = {
    'plain': '''{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}''',
    'turns': '''{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = 'Date: ' ~ strftime_now('%d %B %Y') %}
{%- endif %}
[SYS]{{ system }}[/SYS]
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) and message.role in ['user', 'assistant'] and not message.tool_calls %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {%- if message.content is string %}
        {{- '\\n<' ~ message.role | upper ~ '>' ~ message.content | trim }}
    {%- elif message.content is iterable %}
        {%- for part in message.content if part.type == 'text' %}
            {{- part.text }}
            {%- if not loop.last %}{{ '\\n' }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {%- if loop.last or loop.nextitem.role == 'user' %}{{ eos_token }}{% endif %}
{%- endfor %}
''',
    'tools': '''{%- macro describe(parameters, required=[]) %}
  {%- for name, p in parameters | dictsort %}
    {{- '  ' ~ name ~ ('' if name in required else '?') ~ ': ' ~ (p.enum | join(' | ') if p.enum else p.type) }}
    {%- if p.default is defined %} = {{ p.default }}{% endif %}
    {{- '\\n' }}
  {%- endfor %}
{%- endmacro %}
{%- if tools %}
# Tools
{% for t in tools %}
{% set f = t.function if t.function is defined else t %}
## {{ f.name }}: {{ f.description | default('none') }}
{{ describe(f.parameters.properties, required=f.parameters.required) }}
{{- f | tojson }}
{{ f.parameters | tojson(indent=2) | indent(2) }}
{% endfor %}
{%- endif %}
{%- set ns = namespace(last=-1, calls=0) %}
{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}
{%- for m in messages %}
{{ m.role }}{{ '*' if loop.index0 == ns.last }}:
{%- if m.tool_calls %}
  {%- for c in m.tool_calls %}
    {%- set ns.calls = ns.calls + 1 %}
    {%- set f = c['function'] %}
 <call {{ c.id[-3:] }} n={{ ns.calls }}>{"name": "{{ f.name }}", "arguments": {{ f.arguments if f.arguments is string else f.arguments | tojson }}}</call>
    {%- for k, v in f.arguments.items() %}
 {{ k }}={{ v | string if v is not string else v }}
    {%- endfor %}
  {%- endfor %}
{%- elif m.role == 'tool' %} <result of="{{ m.name or 'tool' }}">{{ m.content }}</result>
{%- elif m.content is string %} {{ m.content.split('</think>')[-1].lstrip('\\n') }}
{%- else %} {{ m.content | map(attribute='text') | join('+') if m.content else '-' }}
{%- endif %}
{%- if m.reasoning_content is defined and m.reasoning_content %} ({{ m.reasoning_content }}){% endif %}
{%- endfor %}
{% if add_generation_prompt %}assistant:{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}''',
    'strict': '''{%- if messages | length == 0 %}{{ raise_exception('no messages') }}{% endif -%}
{%- set system = messages | selectattr('role', 'equalto', 'system') | list -%}
{%- set users = messages | rejectattr('role', 'in', ['system', 'tool']) | list -%}
{{ bos_token ~ (system | map(attribute='content') | join('\\n\\n')) }}
{% for m in users recursive_is_not_used if false %}{% endfor %}''',
    'strict2': '''{%- if messages | length == 0 %}{{ raise_exception('no messages') }}{% endif -%}
{%- set system = messages | selectattr('role', 'equalto', 'system') | list -%}
{%- set rest = messages | rejectattr('role', 'in', ['system', 'tool']) | list -%}
{{ bos_token ~ (system | map(attribute='content') | join('\\n\\n')) }}
{% for m in rest %}
  {% if m.content is not string %}{% continue %}{% endif %}
  {% generation %}{{ loop.index }}/{{ loop.length }} {{ m.role[:1] | upper }} {{ m.content[:10] | replace('\\n', ' ') }}{% endgeneration %}

  {% if loop.index > 3 %}
    {% break %}
  {% endif %}
{% endfor %}
{%- call(x) wrap('a') %}{{ x }}{% endcall %}''',
    'words': '''{% macro wrap(tag) %}<{{ tag }}>{{ caller(tag) }}</{{ tag }}>{% endmacro %}
{%- set roles = {'user': 'U', 'assistant': 'A'} %}
{%- for m in messages %}
  {%- set text %}{{ m.content if m.content is string else m.content | tojson }}{% endset %}
  {%- call(t) wrap(roles.get(m.role, '?')) %}{{ t }}:{{ text | length }}:{{ text | wordcount }}:{{ text | title }}{% endcall %}
{%- endfor %}
{% filter upper %}{{ messages | map(attribute='role') | unique | join(',') }}{% endfilter %}''',
}


def expressions():
    """Alternatives are parted by '|' unless that is a filter's, told by the parse failing without it."""
    for line in EXPRESSIONS.strip().split('\n'):
        parts = line.split('|')
        for i, part in enumerate(parts):  # each alone, and each behind its left neighbours
            yield part
            if i:
                yield '|'.join(parts[i - 1:i + 1])
            if i > 1:
                yield '|'.join(parts[i - 2:i + 1])


def statements():
    lines = STATEMENTS.strip('\n').split('\n')
    yield from lines
    for i in range(len(lines)):
        for n in (2, 3, 4):
            if any(line.startswith(' ') or not line.startswith('{') for line in lines[i:i + n]):
                yield '\n'.join(lines[i:i + n])


def known_difference(source, text):
    """What isn't alike, and shan't be: what Python prints by address or class, the dotted I's two characters, names of
    filters that nothing runs."""
    if text is None:
        return '|off' in source
    return any(x in text for x in (' at 0x', 'bound method', '<class', 'dict_', 'range(', '<built-in', '<Temp')) \
        or 'İ' in source


def write(path, cases):
    lines = []
    for source, variables in cases:
        text = conversations.render(source, variables)
        if not known_difference(source, text):
            more = {'add_generation_prompt': True, 'tools': None, **conversations.TOKENS, **variables}
            lines.append(json.dumps({'template': source, 'variables': json.dumps(more, ensure_ascii=False), 'text': text},
                                    ensure_ascii=False))
    path.write_text('\n'.join(lines) + '\n')
    return len(lines)


def main():
    seen = list(dict.fromkeys(['{{ ' + x + ' }}' for x in expressions()] + list(statements())))
    used = [(x, {k: v for k, v in VARIABLES.items() if k in x}) for x in seen]
    FOLDER.mkdir(parents=True, exist_ok=True)
    CORPUS.mkdir(parents=True, exist_ok=True)
    print(write(FOLDER / 'cases.jsonl', used), 'cases')
    print(write(FOLDER / 'conversations.jsonl', [(source, conversation) for source in TEMPLATES.values()
                                                 for conversation in conversations.CONVERSATIONS.values()]), 'conversations')
    for name, source in TEMPLATES.items():
        variables = json.dumps(conversations.CONVERSATIONS['tool_calls'], ensure_ascii=False)
        (CORPUS / name).write_bytes(source.encode() + b'\0' + variables.encode())
    for i, source in enumerate(STATEMENTS.strip('\n').split('\n')):
        (CORPUS / f'statement-{i}').write_bytes(source.encode() + b'\0' + json.dumps(VARIABLES).encode())


if __name__ == '__main__':
    main()
