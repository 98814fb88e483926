#include "common/anchor/chain.h"

#include <set>

#include "gtest/gtest.h"

namespace kedge {
namespace {

// The vectors were made independently, with Python:
//
//   import hashlib, struct
//   u32 = lambda *v: struct.pack('<%dI' % len(v), *v)
//   s = lambda t: u32(len(t)) + t.encode()
//   sha = lambda b: hashlib.sha256(b).digest()
//   k = sha(u32(3) + s('00ff') + s(POLICY) + s('f16') + s('cpu-1') + s('pepper'))
//   print('root', k.hex())
//   k = sha(k + u32(3) + u32(7, 70000, 46) + bytes([0b100, 0b010]))
//   print('first', k.hex())
//   print('open', sha(k + u32(9) + u32(*range(9)) + bytes([0, 0, 0, 1])).hex())
//   k = sha(k + u32(256) + u32(*range(256)) + bytes(64))
//   print('second', k.hex())
constexpr char kPolicy[] =
    "anchors=33+46,insert=off,longest=512,keep=anchors,sinks=4,recent=128,view=all,prefill=anchored,salient=0,"
    "write=anchored";
constexpr char kRoot[] = "caceec15869e1fb7a9ef702653633dffb2fb69c6ad93d05cf2288daa2db9f38b";
constexpr char kFirst[] = "1a73d546b4f8b6b911f288a83c07d69de919f09339258ffa83517cb824c0c1be";
constexpr char kOpen[] = "048fa94c9b64a963c86857c279e01b4bbfffeaa465173e410cdd8a35d7ea7f96";
constexpr char kSecond[] = "1ac5b837b770c59c3957cecbbb14f327d5326c86fd719dd615909ddeb9bedf7a";

ChainRoot Root() { return {"00ff", kPolicy, "f16", "cpu-1", "pepper"}; }

Chain AfterFirstLink() {
  Chain chain(RootKey(Root()));
  chain.Add(7, {}, false);
  chain.Add(70000, {.marked = true}, false);
  chain.Add(46, {.pinned = true}, true);
  return chain;
}

TEST(Chain, AgreesWithAnIndependentImplementation) {
  EXPECT_EQ(ToHex(RootKey(Root())), kRoot);
  Chain chain = AfterFirstLink();
  ASSERT_EQ(chain.links().size(), 1u);
  EXPECT_EQ(chain.links()[0].tokens, 3u);
  EXPECT_EQ(ToHex(chain.links()[0].key), kFirst);
  for (uint32_t id = 0; id < 9; ++id) chain.Add(id, {.marked = id == 8}, false);
  EXPECT_EQ(ToHex(chain.Key()), kOpen);
}

TEST(Chain, ClosesALinkAfter256Tokens) {
  Chain chain = AfterFirstLink();
  for (uint32_t id = 0; id < 255; ++id) chain.Add(id, {}, false);
  EXPECT_EQ(chain.links().size(), 1u);
  chain.Add(255, {}, false);
  ASSERT_EQ(chain.links().size(), 2u);
  EXPECT_EQ(chain.links()[1].tokens, 259u);
  EXPECT_EQ(ToHex(chain.links()[1].key), kSecond);
  // A row that closes just there makes one link, not two.
  Chain closing = AfterFirstLink();
  for (uint32_t id = 0; id < 256; ++id) closing.Add(id, {}, id == 255);
  EXPECT_EQ(closing.links().size(), 2u);
  EXPECT_EQ(closing.Key(), chain.Key());
}

TEST(Chain, NamesAPrefixAsIfItClosedThere) {
  const ChainKey root = RootKey(Root());
  Chain open(root);
  EXPECT_EQ(open.Key(), root);
  Chain closed(root);
  open.Add(7, {}, false);
  closed.Add(7, {}, true);
  EXPECT_EQ(open.Key(), closed.Key());
  EXPECT_TRUE(open.links().empty());
  EXPECT_EQ(closed.links()[0].key, closed.Key());
  // To ask for the name changes nothing of what follows.
  Chain asked(root);
  for (uint32_t id : {7, 8, 9}) {
    asked.Add(id, {}, id == 9);
    asked.Key();
  }
  Chain unasked(root);
  for (uint32_t id : {7, 8, 9}) unasked.Add(id, {}, id == 9);
  EXPECT_EQ(asked.Key(), unasked.Key());
}

TEST(Chain, EveryFieldOfTheRootChangesTheName) {
  std::set<ChainKey> keys = {RootKey(Root())};
  for (std::string ChainRoot::*field : {&ChainRoot::fingerprint, &ChainRoot::canonical_policy, &ChainRoot::kv_type,
                                        &ChainRoot::numerics_class, &ChainRoot::cache_domain}) {
    ChainRoot root = Root();
    root.*field += "x";
    keys.insert(RootKey(root));
  }
  ChainRoot shifted = Root();  // what moves from one field to the next is no accidental match
  shifted.kv_type = "f16c";
  shifted.numerics_class = "pu-1";
  keys.insert(RootKey(shifted));
  EXPECT_EQ(keys.size(), 7u);
}

TEST(Chain, EveryTokenBitAndOrderChangesTheName) {
  const ChainKey root = RootKey(Root());
  const auto key = [&root](std::vector<uint32_t> ids, int pinned, int no_anchor) {
    Chain chain(root);
    for (int i = 0; i < static_cast<int>(ids.size()); ++i) {
      chain.Add(ids[i], {.pinned = i == pinned, .marked = i == no_anchor}, false);
    }
    return chain.Key();
  };
  const std::set<ChainKey> keys = {key({}, -1, -1),    key({1, 2}, -1, -1), key({2, 1}, -1, -1),
                                   key({1, 2}, -1, 0), key({1, 2}, -1, 1),  key({1, 2}, 0, -1),
                                   key({1, 2}, 1, -1), key({1}, -1, -1),    key({1, 2, 0}, -1, -1)};
  EXPECT_EQ(keys.size(), 9u);
}

}  // namespace
}  // namespace kedge
