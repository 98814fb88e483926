// Which rows of a request serve other requests that begin alike, and the names of beginnings.
#ifndef KEDGE_COMMON_ANCHOR_SHARED_ROWS_H_
#define KEDGE_COMMON_ANCHOR_SHARED_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/chain.h"
#include "common/anchor/content.h"

namespace kedge {

// Rows before this one have the same bits in every request whose content begins with the same ids, bits and policy,
// wherever its prompt ends. Generated rows are among them if they have the bits of prompt rows (`roles_agree`, a
// property of the device) and the policy treats them alike: under `write=full` only rows 0..n-2 serve. Under
// `prefill=full` these are the complete rows 0..n-2, before the reduction: what is reduced was chosen for one question.
uint32_t SharedEnd(const Content& content, bool roles_agree);

// What these rows stand on. Complete rows stand on their ids alone, so under any two policies with `prefill=full`, and
// under full attention, they are the same. The cache domain stays.
Content SharedContent(const Content& content, bool roles_agree);

// How many ids two shared contents begin with that give the same rows; none in two cache domains.
uint32_t CommonRows(const Content& a, const Content& b);

// The name (chain.h) of the first `end` ids for each of `ends`. Policy and cache domain are the content's, whatever
// `root` says. REQUIRES: `ends` are ascending, at most ids.size().
std::vector<ChainKey> NamePrefixes(const Content& content, ChainRoot root, absl::Span<const uint32_t> ends);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_SHARED_ROWS_H_
