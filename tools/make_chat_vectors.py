#!/usr/bin/env python3
"""Makes the golden vectors of common/tokenizer's chat templates: conversations rendered by Jinja2 from the templates as
the models' files have them. From the repository's root:

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install Jinja2==3.1.6
    /tmp/vectors/bin/python tools/make_chat_vectors.py

Writes common/tokenizer/testdata/chat_vectors.json: for each template its source and what it renders. `openers` are the
byte ranges of the rendered text with which an answer opens.
"""

import json
import pathlib

import jinja2
import jinja2.sandbox

OUT = pathlib.Path("common/tokenizer/testdata/chat_vectors.json")

# name: (format, spelling of the token that ends a text, what opens an answer, template). Of one format there may be
# several templates.
TEMPLATES = {
    "qwen2": ("chatml", "<|endoftext|>", "<|im_start|>assistant\n", (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        "You are a helpful assistant.<|im_end|>\n"
        "' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")),
    "llama2": ("llama2", "</s>", " [/INST]", (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")),
    "llama2 with a branch for late system messages": ("llama2", "</s>", " [/INST]", (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'system' %}"
        "{{ '<<SYS>>\\n' + content.strip() + '\\n<</SYS>>\\n\\n' }}{% elif message['role'] == 'assistant' %}"
        "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")),
    "llama3": ("llama3", "<|end_of_text|>", "<|start_header_id|>assistant<|end_header_id|>\n\n", (
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
        "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")),
    "llama3 that always opens an answer": ("llama3", "<|end_of_text|>",
                                           "<|start_header_id|>assistant<|end_header_id|>\n\n", (
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
        "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}")),
    "zephyr": ("zephyr", "</s>", "<|assistant|>\n", (
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
        "{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n"
        "{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
        "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")),
}
BOS = {"chatml": "<|endoftext|>", "llama2": "<s>", "llama3": "<|begin_of_text|>", "zephyr": "<s>"}

# No content spells an opener, since these are looked for in the rendered text.
CHATS = [
    [("user", "What is an anchor?")],
    [("user", "")],
    [("user", "  \n blanks \t around\u3000 ")],
    [("system", "You are terse."), ("user", "Hi.")],
    [("system", ""), ("user", "Hi.")],
    [("system", " Blanks. \n"), ("user", " ")],
    [("user", "Hi."), ("assistant", "Hello! How can I help?"), ("user", "Tell me 3 things.\n\n1. a\n2. b")],
    [("system", "S."), ("user", "a"), ("assistant", "b."), ("user", "c"), ("assistant", "d!\n"), ("user", "e?")],
    [("user", "a"), ("assistant", ""), ("user", "b")],
    [("user", "a"), ("assistant", "\n\n  starts with line feeds"), ("user", "\n")],
    [("user", "a"), ("assistant", "ends with an answer")],
    [("user", "<s></s>[INST]<|eot_id|><|im_end|><|user|> <<SYS>>"), ("assistant", "<|end_header_id|></s>")],
    [("user", "\u4f60\u597d\uff01\U0001f600 12 \u00e9x"), ("assistant", "\u3002")],
    [("user", "a"), ("user", "twice")],
    [("assistant", "I begin.")],
    [("user", "a"), ("system", "late system message"), ("user", "b")],
    [("user", "a"), ("tool", '{"a": 1}')],
]


def raise_exception(message):
    raise jinja2.TemplateError(message)


def byte_ranges(text, part):
    ranges = []
    begin = text.find(part)
    while begin >= 0:
        first = len(text[:begin].encode())
        ranges.append([first, first + len(part.encode())])
        begin = text.find(part, begin + len(part))
    return ranges


def main():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    vectors = []
    for name, (kind, eos, opener, source) in TEMPLATES.items():
        template = environment.from_string(source)
        chats = []
        for chat in CHATS:
            roles = [role for role, _ in chat]
            if kind == "zephyr" and "tool" in roles:
                continue  # the template leaves such messages out without a word; Kedge refuses them
            if kind == "llama2" and (set(roles[1:]) & {"system", "tool"}):
                continue  # likewise
            messages = [{"role": role, "content": content} for role, content in chat]
            for opens_answer in (True, False):
                vector = {"messages": messages, "add_generation_prompt": opens_answer}
                try:
                    text = template.render(messages=messages, add_generation_prompt=opens_answer, bos_token=BOS[kind],
                                           eos_token=eos)
                    vector |= {"text": text, "openers": byte_ranges(text, opener)}
                except jinja2.TemplateError as error:
                    vector["error"] = str(error)
                chats.append(vector)
        vectors.append({"name": name, "format": kind, "bos": BOS[kind], "eos": eos, "source": source, "chats": chats})
    lines = []
    for vector in vectors:
        chats = ",\n".join("   " + json.dumps(chat) for chat in vector.pop("chats"))
        lines.append(f' {json.dumps(vector)[:-1]}, "chats": [\n{chats}\n ]}}')
    OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
