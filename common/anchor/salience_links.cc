// Tested by salience_links_test.cc.
#include "common/anchor/salience_links.h"

#include <algorithm>

#include "common/base/check.h"

namespace kedge {
namespace {

bool Before(const SalienceLink& a, const SalienceLink& b) { return a.mass != b.mass ? a.mass > b.mass : a.to < b.to; }

}  // namespace

void SalienceLinks::Offer(SalienceLink offered, std::vector<SalienceLink>* links) {
  if (links->size() == kMost && !Before(offered, links->back())) return;
  const auto known =
      std::find_if(links->begin(), links->end(), [&](const SalienceLink& link) { return link.to == offered.to; });
  if (known != links->end()) {
    if (offered.mass <= known->mass) return;
    links->erase(known);
  }
  links->insert(std::lower_bound(links->begin(), links->end(), offered, Before), offered);
  if (links->size() > kMost) links->pop_back();
}

void SalienceLinks::Add(size_t from, size_t head, absl::Span<const uint32_t> mass) {
  KEDGE_CHECK(mass.size() == from + 1);
  std::vector<SalienceLink>& links = links_[from * heads_ + head];
  for (uint32_t to = 0; to < from; ++to) {
    if (mass[to] > 0) Offer({to, mass[to]}, &links);
  }
}

void SalienceLinks::Merge(size_t from, size_t head, const std::vector<SalienceLink>& links) {
  for (const SalienceLink& link : links) Offer(link, &links_[from * heads_ + head]);
}

}  // namespace kedge
