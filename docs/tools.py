#!/usr/bin/env python3
"""A round of tools: the model asks for a function, this program calls it, and the model answers with what it returned.

    ./kedge up --model qwen2.5-coder-0.5b
    PYTHONPATH=/tmp/client /usr/bin/python3 docs/tools.py localhost:50051 "What is the temperature in Oslo now?"

README.md ("From any language") says how /tmp/client is made from the protos. How a call looks in the text of an answer is
the model's own affair: this reads JSON with a name and arguments, between the marks of Qwen 2.5, Qwen 3 and Hermes, or bare or
as a block of code, as Qwen 2.5 Coder writes it. Small models often repeat their call in place of an answer; then this begins
the answer, and the model goes on with it.
"""
import json
import re
import sys

import grpc
from kedge.inference.v1 import inference_pb2 as pb
from kedge.inference.v1 import inference_pb2_grpc


def get_temperature(city):
    return {"city": city, "celsius": {"Oslo": -3, "Lima": 21}.get(city)}


FUNCTIONS = {"get_temperature": get_temperature}
BEGUN = "According to the result,"
TOOLS = [pb.Tool(name="get_temperature", description="Get the current temperature in a city.", parameters=json.dumps({
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city."}},
    "required": ["city"]}))]


def read_calls(text):
    """What the model says beside its calls, and the calls."""
    text = re.sub(r"</?tool_call>|```(?:json)?", "", text)
    decoder = json.JSONDecoder()
    rest, calls, at = "", [], 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            value, end = None, at + 1
        if isinstance(value, dict) and value.get("name") in FUNCTIONS and isinstance(value.get("arguments"), dict):
            calls.append(value)
        else:
            rest += text[at:end]
        at = end
    return rest.strip(), calls


def call_function(name, arguments):
    try:
        return FUNCTIONS[name](**arguments)
    except TypeError as error:  # the model's arguments are not those of the function
        return {"error": str(error)}


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: tools.py HOST:PORT QUESTION")
    address, question = sys.argv[1:]
    stub = inference_pb2_grpc.InferenceServiceStub(grpc.insecure_channel(address))
    chat = pb.ChatMessages(messages=[pb.ChatMessage(role="user", content=question)], tools=TOOLS)

    def generate():
        answer = stub.Generate(pb.GenerateRequest(
            messages=chat, sampling_params=pb.SamplingParams(temperature=0, max_tokens=200)), timeout=120)
        return answer.completions[0].text

    results = {}  # by call
    while True:
        answer = generate()
        text, calls = read_calls(answer)
        new_calls = {json.dumps(call): call for call in calls if json.dumps(call) not in results}
        if not new_calls:
            break
        message = chat.messages.add(role="assistant", content=text or None)
        for key, call in new_calls.items():
            call_id = f"call{len(results)}"
            results[key] = json.dumps(call_function(**call))
            print(f"{key} = {results[key]}", file=sys.stderr)
            message.tool_calls.add(id=call_id, name=call["name"], arguments=json.dumps(call["arguments"]))
            chat.messages.add(role="tool", tool_call_id=call_id, name=call["name"], content=results[key])
    if calls:  # it asks for nothing new, and has not answered
        chat.messages.add(role="assistant", content=BEGUN)
        chat.continue_final_message = True
        answer = BEGUN + generate()
    print(answer)


if __name__ == "__main__":
    main()
