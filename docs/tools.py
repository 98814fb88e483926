#!/usr/bin/env python3
"""A round of tools: the model asks for a function, this program calls it, and the model answers with what it returned.

    ./kedge up --model qwen2.5-coder-0.5b
    PYTHONPATH=/tmp/client /usr/bin/python3 docs/tools.py localhost:50051 "How many degrees are there in Oslo?"

README.md ("From any language") says how /tmp/client is made from the protos. How a call looks in the text of an answer is
the model's own affair: this reads the form of Qwen 2.5, Qwen 3 and Hermes. (Qwen 2.5 Coder leaves the marks out.)
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
TOOLS = [pb.Tool(name="get_temperature", description="Get the current temperature in a city.", parameters=json.dumps({
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city."}},
    "required": ["city"]}))]


def read_calls(text):
    """What the model says beside its calls, and the calls."""
    if re.fullmatch(r'\s*\{\s*"name".*\}\s*', text, re.DOTALL):
        text = f"<tool_call>{text}</tool_call>"
    calls = [json.loads(call) for call in re.findall(r"<tool_call>\s*(.*?)\s*</tool_call>", text, re.DOTALL)]
    return re.sub(r"<tool_call>.*?</tool_call>", "", text, flags=re.DOTALL).strip(), calls


def main():
    address, question = sys.argv[1:]
    stub = inference_pb2_grpc.InferenceServiceStub(grpc.insecure_channel(address))
    chat = pb.ChatMessages(messages=[pb.ChatMessage(role="user", content=question)], tools=TOOLS)
    for _ in range(4):  # a model may ask again and again
        answer = stub.Generate(pb.GenerateRequest(messages=chat, sampling_params=pb.SamplingParams(temperature=0)),
                               timeout=120)
        text, calls = read_calls(answer.completions[0].text)
        if not calls:
            break
        message = chat.messages.add(role="assistant", content=text or None)
        for number, call in enumerate(calls):
            name, arguments = call["name"], call["arguments"]
            message.tool_calls.add(id=f"call{number}", name=name, arguments=json.dumps(arguments))
            result = FUNCTIONS[name](**arguments)
            print(f"{name}({arguments}) = {result}", file=sys.stderr)
            chat.messages.add(role="tool", tool_call_id=f"call{number}", name=name, content=json.dumps(result))
    print(text)


if __name__ == "__main__":
    main()
