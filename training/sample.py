"""Text of the model's own: answers to many different questions, sampled in batches, as training data.

Documents alone would teach a chat model to forget how it speaks. The file is written anew after each batch, so a run that
trains meanwhile takes up what is there. Prompts of one length make a batch: no padding, no mask.
"""

import argparse
import collections
import os
import random

import numpy as np
import torch
import torch.nn.functional as F

from corpus import write_npz
from model import GgufModelFile
from vocabulary import Vocabulary

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"  # the default model's own
REQUESTS = (
    "What is {}?", "Explain {} to a child.", "Write a short story about {}.", "List five facts about {}.",
    "Give me advice on {}.", "Why does {} matter?", "Write an email to a friend about {}.", "Summarize the history of {}.",
    "What are common mistakes with {}?", "Compare {} with something similar.", "Write a dialogue about {}.",
    "Describe {} step by step.", "Tell me something surprising about {}.", "Write a short speech about {}.",
    "What should a beginner know about {}?", "Write three questions and answers about {}.",
)
SUBJECTS = (
    "the water cycle", "baking bread", "volcanoes", "the Roman Empire", "photosynthesis", "learning the piano", "cats",
    "gravity", "the stock market", "healthy sleep", "public libraries", "electric cars", "the moon", "chess", "coral reefs",
    "saving money", "a job interview", "the printing press", "vaccines", "sorting a list in Python", "gardening",
    "time zones", "bicycles", "the human heart", "black holes", "writing a diary", "camping in the rain", "bees",
    "recycling", "Shakespeare", "prime numbers", "coffee", "learning a language", "earthquakes", "the Olympic Games",
    "solar panels", "dinosaurs", "meditation", "databases", "city planning", "penguins", "fractions", "jazz", "bridges",
    "moving to a new town", "the French Revolution", "DNA", "running a marathon", "cooking rice", "the internet",
    "a lost key", "lighthouses", "inflation", "first aid", "trees in winter", "friendship", "robots", "maps", "whales",
    "computer viruses", "tea ceremonies", "the Great Wall of China", "teamwork", "rivers", "antibiotics", "a first flight",
    "painting a room", "spiders", "democracy", "the speed of light", "homework", "rainbows", "glass", "train travel",
)


def prompt_ids(vocabulary, request):
    start, end = vocabulary.special("<|im_start|>"), vocabulary.special("<|im_end|>")
    line = vocabulary.encode("\n")
    turns = (("system", SYSTEM), ("user", request))
    ids = [id for role, text in turns for id in [start, *vocabulary.encode(f"{role}\n{text}"), end, *line]]
    return ids + vocabulary.answer_opener()


@torch.no_grad()
def sample(llama, prompts, count, end, temperature, top_p, generator):
    """Up to `count` tokens for each of the prompts (one length), each ended by `end`: lists of prompt and answer."""
    ids = torch.tensor(prompts)  # [rows, tokens]
    rows = len(prompts)
    texts = [list(prompt) for prompt in prompts]
    alive = torch.arange(rows)  # which text each row of the cache belongs to
    cache = []
    while len(alive) > 0 and len(texts[alive[0]]) < len(prompts[0]) + count:
        hidden = llama.hidden(ids, None, cache).view(len(alive), -1, llama.width)[:, -1]
        chosen = choose((hidden @ llama.head.T) / temperature, top_p, generator)  # [rows, 1]
        for row, id in zip(alive.tolist(), chosen[:, 0].tolist()):
            texts[row].append(id)
        going = chosen[:, 0] != end
        alive, ids = alive[going], chosen[going]
        if not bool(going.all()):
            cache = [[k[going], v[going]] for k, v in cache]
    return texts


def choose(logits, top_p, generator):
    """Samples from the most probable ids that together have at least top_p: logits [rows, vocab] -> [rows, 1]."""
    values, order = F.softmax(logits, dim=1).topk(256, dim=1)  # more than top_p needs, in practice
    values[values.cumsum(dim=1) - values > top_p] = 0
    return order.gather(1, torch.multinomial(values, 1, generator=generator))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="GGUF file")
    parser.add_argument("--out", required=True, help="file to write (.npz)")
    parser.add_argument("--tokens", type=int, default=60_000, help="about how many")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--longest", type=int, default=300, help="tokens of an answer")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top_p", type=float, default=0.95)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    file = GgufModelFile(flags.model)
    vocabulary, llama = Vocabulary(file.metadata), file.load(rank=1)
    generator = torch.Generator().manual_seed(flags.seed)
    by_length = collections.defaultdict(list)
    for request in REQUESTS:
        for subject in SUBJECTS:
            ids = prompt_ids(vocabulary, request.format(subject))
            by_length[len(ids)].append(ids)
    batches = []
    for prompts in by_length.values():
        random.Random(flags.seed).shuffle(prompts)
        batches += [prompts[begin:begin + flags.batch] for begin in range(0, len(prompts), flags.batch)]
    batches = [batch for batch in batches if len(batch) >= flags.batch // 2]
    random.Random(flags.seed).shuffle(batches)
    ids = []
    end = vocabulary.special("<|im_end|>")
    for batch in batches:
        for text in sample(llama, batch, flags.longest, end, flags.temperature, flags.top_p, generator):
            ids += text + [vocabulary.special("<|endoftext|>")]
        write_npz(flags.out, train=np.array(ids, dtype=np.uint16))
        print(f"{len(ids)} tokens; the last: {vocabulary.decode(text)[-300:]!r}", flush=True)
        if len(ids) >= flags.tokens:
            break


if __name__ == "__main__":
    main()
