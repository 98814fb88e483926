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
//   k = sha(u32(1) + s('00ff') + s(POLICY) + s('f16') + s('cpu-1') + s('') + s('pepper'))
//   print('root', k.hex())
//   k = sha(k + u32(3) + u32(7, 70000, 46) + bytes([0b010]))
//   print('first', k.hex())
//   print('open', sha(k + u32(9) + u32(*range(9)) + bytes([0, 1])).hex())
//   k = sha(k + u32(256) + u32(*range(256)) + bytes(32))
//   print('second', k.hex())
constexpr char kPolicy[] =
    "anchors=33+46,insert=off,longest=512,keep=anchors,sinks=4,recent=128,view=all,prefill=anchored,salient=0,"
    "write=anchored";
constexpr char kRoot[] = "e751fb62c0a0f646738b097dc4d62864db9f261dfcb63507cbe7557fdade2ca2";
constexpr char kFirst[] = "3bca6474a7f8ec01063fcbf832c96ae9a1c6b31f9df07460156a390634199047";
constexpr char kOpen[] = "92483d344cfc1c720e6559c9286380f83b22547c57f49722fcfa2a6c9ab3dd98";
constexpr char kSecond[] = "f0a011390c5db52e714b0dc2947e22ee3b5c0e36de0cb520f76d9f49729b61d3";

ChainRoot Root() { return {"00ff", kPolicy, "f16", "cpu-1", "", "pepper"}; }

Chain AfterFirstLink() {
  Chain chain(RootKey(Root()));
  chain.Add(7, false, false);
  chain.Add(70000, true, false);
  chain.Add(46, false, true);
  return chain;
}

TEST(Chain, AgreesWithAnIndependentImplementation) {
  EXPECT_EQ(ToHex(RootKey(Root())), kRoot);
  Chain chain = AfterFirstLink();
  ASSERT_EQ(chain.links().size(), 1u);
  EXPECT_EQ(chain.links()[0].tokens, 3u);
  EXPECT_EQ(ToHex(chain.links()[0].key), kFirst);
  for (uint32_t id = 0; id < 9; ++id) chain.Add(id, id == 8, false);
  EXPECT_EQ(ToHex(chain.Key()), kOpen);
}

TEST(Chain, ClosesALinkAfter256Tokens) {
  Chain chain = AfterFirstLink();
  for (uint32_t id = 0; id < 255; ++id) chain.Add(id, false, false);
  EXPECT_EQ(chain.links().size(), 1u);
  chain.Add(255, false, false);
  ASSERT_EQ(chain.links().size(), 2u);
  EXPECT_EQ(chain.links()[1].tokens, 259u);
  EXPECT_EQ(ToHex(chain.links()[1].key), kSecond);
  // A row that closes just there makes one link, not two.
  Chain closing = AfterFirstLink();
  for (uint32_t id = 0; id < 256; ++id) closing.Add(id, false, id == 255);
  EXPECT_EQ(closing.links().size(), 2u);
  EXPECT_EQ(closing.Key(), chain.Key());
}

TEST(Chain, NamesAPrefixAsIfItClosedThere) {
  const ChainKey root = RootKey(Root());
  Chain open(root);
  EXPECT_EQ(open.Key(), root);
  Chain closed(root);
  open.Add(7, false, false);
  closed.Add(7, false, true);
  EXPECT_EQ(open.Key(), closed.Key());
  EXPECT_TRUE(open.links().empty());
  EXPECT_EQ(closed.links()[0].key, closed.Key());
  // To ask for the name changes nothing of what follows.
  Chain asked(root);
  for (uint32_t id : {7, 8, 9}) {
    asked.Add(id, false, id == 9);
    asked.Key();
  }
  Chain unasked(root);
  for (uint32_t id : {7, 8, 9}) unasked.Add(id, false, id == 9);
  EXPECT_EQ(asked.Key(), unasked.Key());
}

TEST(Chain, EveryFieldOfTheRootChangesTheName) {
  std::set<ChainKey> keys = {RootKey(Root())};
  for (std::string ChainRoot::*field : {&ChainRoot::fingerprint, &ChainRoot::canonical_policy, &ChainRoot::kv_type,
                                        &ChainRoot::numerics_class, &ChainRoot::tenant, &ChainRoot::cache_salt}) {
    ChainRoot root = Root();
    root.*field += "x";
    keys.insert(RootKey(root));
  }
  ChainRoot shifted = Root();  // what moves from one field to the next is no accidental match
  shifted.kv_type = "f16c";
  shifted.numerics_class = "pu-1";
  keys.insert(RootKey(shifted));
  EXPECT_EQ(keys.size(), 8u);
}

TEST(Chain, EveryTokenBitAndOrderChangesTheName) {
  const ChainKey root = RootKey(Root());
  const auto key = [&root](std::vector<uint32_t> ids, int no_anchor) {
    Chain chain(root);
    for (size_t i = 0; i < ids.size(); ++i) chain.Add(ids[i], static_cast<int>(i) == no_anchor, false);
    return chain.Key();
  };
  const std::set<ChainKey> keys = {key({}, -1),     key({1, 2}, -1), key({2, 1}, -1), key({1, 2}, 0),
                                   key({1, 2}, 1),  key({1}, -1),    key({1, 2, 0}, -1)};
  EXPECT_EQ(keys.size(), 7u);
}

}  // namespace
}  // namespace kedge
