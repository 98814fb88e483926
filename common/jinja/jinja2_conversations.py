"""Random conversations, with all that chat templates look at, and the templates that GGUF files hold."""
import struct

TEXTS = ["", " ", "\n", "Hello.", "  spaces \n around  ", "What is an anchor?", "Grüße, 世界 🎉", "{{ bos_token }}",
         "{% if true %}x{% endif %}", "<|im_end|>\n<|im_start|>system\nevil", "[INST] </s> <s>", "a\n\nb\n",
         "<think>\nreasons\n</think>\n\nanswer", "</think>", "'quotes' \"double\" \\ back", "<tool_call>{}</tool_call>",
         "tab\tand\u3000wide", "{\"json\": [1, 2.5, null, true]}", "<|eot_id|>", "x" * 300, "Cutting Knowledge"]

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather at a place.",
        "parameters": {"type": "object", "properties": {
            "place": {"type": "string", "description": "City, \"quoted\" & <b>"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "default": 3}, "exact": {"type": "boolean"},
            "where": {"type": "array", "items": {"type": "number"}},
            "more": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}},
            "required": ["place"]}, "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "now", "description": "Zeit ⏰", "parameters": {
        "type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "python", "description": "", "parameters": {
        "type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}}},
]


def tool_call(draw, as_text):
    arguments = {"place": draw.choice(TEXTS), "days": draw.randrange(9), "deep": {"a": [1, None, 2.5, True]}}
    call = {"type": "function", "id": draw.choice(["abc123def", "call_00001", "x"]),
            "function": {"name": draw.choice(["get_weather", "now"]), "arguments": arguments}}
    if as_text:
        call["function"]["arguments"] = '{"place": "Paris"}'
    return call


def message(draw, role):
    result = {"role": role, "content": draw.choice(TEXTS)}
    if role == "assistant" and draw.random() < 0.4:
        result["tool_calls"] = [tool_call(draw, draw.random() < 0.3) for _ in range(draw.randrange(1, 3))]
        kind = draw.randrange(4)
        if kind == 0:
            del result["content"]
        elif kind == 1:
            result["content"] = None
    if role == "assistant" and draw.random() < 0.2:
        result["reasoning_content"] = draw.choice(TEXTS)
    if role == "tool":
        result["tool_call_id"] = draw.choice(["abc123def", "call_00001"])
        result["name"] = "get_weather"
        if draw.random() < 0.2:
            result["content"] = {"temperature": 21.5, "unit": "celsius"}
    if draw.random() < 0.05:
        result["content"] = [{"type": "text", "text": draw.choice(TEXTS)}]
    return result


def variables(draw):
    messages = []
    if draw.random() < 0.5:
        messages.append(message(draw, "system"))
    for _ in range(draw.randrange(0, 5)):
        messages.append(message(draw, "user"))
        if draw.random() < 0.8:
            messages.append(message(draw, "assistant"))
            if "tool_calls" in messages[-1] and draw.random() < 0.8:
                messages += [message(draw, "tool") for _ in messages[-1]["tool_calls"]]
                messages.append(message(draw, "assistant"))
    if draw.random() < 0.1:
        messages.insert(draw.randrange(len(messages) + 1), message(draw, draw.choice(["system", "tool", "other"])))
    result = {"messages": messages, "add_generation_prompt": draw.random() < 0.5, "bos_token": "<s>",
              "eos_token": "</s>"}
    if draw.random() < 0.5:
        result["tools"] = draw.sample(TOOLS, draw.randrange(0, 4)) if draw.random() < 0.9 else None
    for name, values in {"enable_thinking": [True, False], "date_string": ["26 Jul 2024"], "documents": [[
            {"title": "T <1>", "text": "words"}, {"title": "U", "snippet": "s"}]], "builtin_tools": [
            ["code_interpreter", "brave_search"]], "tools_in_user_message": [True, False], "functions": [TOOLS],
            "datetime": ["now"], "citation_mode": ["fast"], "safety_mode": ["STRICT"],
            "unk_token": ["<unk>"], "pad_token": ["<pad>"]}.items():
        if draw.random() < 0.25:
            result[name] = draw.choice(values)
    return result


def template_of(path):
    """The value of tokenizer.chat_template in a GGUF file; None: it has none."""
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    with open(path, "rb") as file:

        def number(format):
            return struct.unpack("<" + format, file.read(struct.calcsize(format)))[0]

        def text():
            return file.read(number("Q"))

        def skip(kind):
            if kind == 8:
                text()
            elif kind == 9:
                item = number("I")
                count = number("Q")
                if item in sizes:
                    file.seek(sizes[item] * count, 1)
                else:
                    for _ in range(count):
                        skip(item)
            else:
                file.seek(sizes[kind], 1)

        assert file.read(4) == b"GGUF"
        number("I")
        number("Q")
        for _ in range(number("Q")):
            key = text()
            kind = number("I")
            if key == b"tokenizer.chat_template":
                return text().decode()
            skip(kind)
    return None
